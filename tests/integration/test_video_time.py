"""Time in videos: length, time of each frame, and place of the sound, all measured by ffprobe and ffmpeg."""

import itertools
import math
import re
from array import array
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dtqs.errors import PermanentError
from tests.support.films import Made, Run, facts, ffmpeg, frames, near, opened, times

FAST = {"speed": "ultrafast", "crf": 40}
WEBM, STREAM = {"format": "webm", **FAST}, {"format": "hls", "speed": "ultrafast"}
SMALL = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
COLOURS = ("red", "lime", "blue")


def ends(*paths: Path) -> list[list[float]]:
    """Where the tracks of each file end by their container's word, the picture first."""
    return [[_end(said[kind]) for kind in ("video", "audio") if kind in said] for said in map(facts, paths)]


def _end(stream: dict[str, Any]) -> float:
    if "duration" in stream:
        return float(stream["start_time"]) + float(stream["duration"])
    hours, minutes, seconds = stream["tags"]["DURATION"].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def media(made: Made, name: str) -> Path:
    return next(path for output, path in made if output["name"].endswith(name))


def copied(path: Path, folder: Path) -> Path:
    (folder / path.name).write_bytes(path.read_bytes())
    return folder / path.name


def slides(path: Path, *lengths: int) -> Path:
    """Make a GIF that shows one colour after the other, each for its number of milliseconds."""
    pictures = [
        Image.new("RGB", (64, 48), colour) for colour, _ in zip(itertools.cycle(COLOURS), lengths, strict=False)
    ]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=list(lengths), loop=0)
    return path


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of pictures, and the last one for five more."""
    folder = tmp_path_factory.mktemp("held")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=2:r=25", *SMALL, "-bf", "0", folder / "film.mp4")
    ffmpeg(
        "-i",
        folder / "film.mp4",
        "-c",
        "copy",
        "-bsf:v",
        r"setts=duration=if(eq(N\,49)\,12800*5\,DURATION)",
        folder / "held.mp4",
    )
    ffmpeg("-i", folder / "held.mp4", "-c", "copy", folder / "held.mkv")
    return folder


def uneven(path: Path) -> Path:
    jitter = "settb=1/90000,setpts='(N*0.04+0.5*sin(N/3)*0.03*(1+mod(N,2)))/TB'"
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x48:d=3:r=25", "-vf", jitter, "-fps_mode", "passthrough")
    ffmpeg(*source, "-enc_time_base", "1/90000", *SMALL, "-bf", "0", "-video_track_timescale", "90000", path)
    return path


def test_the_last_frame_is_shown_as_long_as_the_video_states(transcode: Run, sources: Path, held: Path) -> None:
    source, seconds = copied(held / "held.mp4", sources), 6.96
    made = transcode(source, FAST, WEBM, STREAM, {"fps": 10, **FAST})
    mp4, webm, stream, even = (media(made, label) for label in ("o0", "o1", "p.m4s", "o3"))
    shown, *kept, in_webm, beats = times(source, mp4, stream, webm, even)
    assert kept == [pytest.approx(shown, abs=0.001)] * 2
    # WebM states no length of a frame: the last one is written twice
    assert in_webm[:-1] == pytest.approx(shown, abs=0.001)
    assert ends(mp4, stream, webm) == [pytest.approx([seconds], abs=0.01)] * 3
    assert beats == pytest.approx([number / 10 for number in range(round(seconds * 10))], abs=0.001)
    assert sum(
        float(length) for length in re.findall(r"#EXTINF:([\d.]+)", media(made, "p.m3u8").read_text())
    ) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("name", ["slides.gif", "held.mkv"])
def test_the_last_frame_is_kept_in_containers_that_state_its_length_elsewhere(
    transcode: Run, sources: Path, held: Path, name: str
) -> None:
    """Check both: a GIF tells the time of frames in its packets and not in its index, Matroska the other way round."""
    seconds = 3.4 if name == "slides.gif" else 6.96
    source = slides(sources / name, 100, 300, 3000) if name == "slides.gif" else copied(held / name, sources)
    made = transcode(source, FAST, {"format": "gif", "fps": 5})
    shown, kept = times(source, made[0][1])
    assert kept == pytest.approx(shown, abs=0.001)
    assert ends(made[0][1]) == [pytest.approx([seconds], abs=0.01)]
    assert made[1][0]["duration_seconds"] == pytest.approx(seconds, abs=0.2)
    assert opened(made[1][1]).format == "GIF"


def test_every_frame_of_an_uneven_video_keeps_its_time(transcode: Run, sources: Path) -> None:
    source = uneven(sources / "uneven.mp4")
    begin = times(source)[0][30] + 0.004
    two_passes = {"format": "webm", "video_bit_rate": 60_000, "two_pass": True, "speed": "ultrafast"}
    made = transcode(source, FAST, WEBM, STREAM, two_passes, {"start_seconds": begin, **FAST})
    shown, mp4, webm, stream, twice, part = times(
        source, *(media(made, label) for label in ("o0", "o1", "p.m4s", "o3", "o4"))
    )
    assert mp4 == pytest.approx(shown, abs=0.0001)
    assert webm == pytest.approx(shown, abs=0.001)
    assert stream == pytest.approx(shown, abs=0.0001)
    assert twice == pytest.approx(shown, abs=0.0055)
    assert part == pytest.approx([0.0, *(time - begin for time in shown[31:])], abs=0.0001)


def test_a_stream_of_a_video_that_slows_down_is_as_long_as_the_video(transcode: Run, sources: Path) -> None:
    thinned = ("-vf", "select='not(mod(n,7))+lt(n,50)'", "-fps_mode", "vfr")
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:d=10:r=25",
        *thinned,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        sources / "slow.mp4",
    )
    made = transcode(sources / "slow.mp4", STREAM)
    shown, kept = times(sources / "slow.mp4", media(made, "p.m4s"))
    assert kept == pytest.approx(shown, abs=0.001)
    listing = media(made, "p.m3u8").read_text()
    lengths = [float(length) for length in re.findall(r"#EXTINF:([\d.]+)", listing)]
    assert sum(lengths) == pytest.approx(9.84, abs=0.05)
    assert max(lengths) <= int(re.findall(r"TARGETDURATION:(\d+)", listing)[0]) + 0.5


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make black that turns white, and silence that turns to a tone, both at 2 s.

    The sound begins at 1.4 s; in early.mkv the picture does.
    """
    folder = tmp_path_factory.mktemp("late")
    inputs: list[str] = []
    for begin in (0.0, 1.4):
        flash = f"color=black:s=64x48:r=25:d={2 - begin}[a];color=white:s=64x48:r=25:d=1[b];[a][b]concat"
        beep = f"aevalsrc='if(gte(t,{2 - begin}),sin(2*PI*1000*t),0)':s=48000:d={3 - begin}"
        for graph in (flash, beep):
            inputs += ["-itsoffset", str(begin), "-f", "lavfi", "-i", graph]
    outputs: list[str | Path] = []
    for name, codec in (("late.mkv", "libopus"), ("late.mp4", "aac"), ("late.ts", "aac"), ("early.mkv", "libopus")):
        tracks = ("2", "1") if name == "early.mkv" else ("0", "3")
        outputs += ["-map", tracks[0], "-map", tracks[1], *SMALL, "-c:a", codec, folder / name]
    ffmpeg(*inputs, *outputs)
    return folder


Place = tuple[float, float]
"""When it becomes white or loud, and where it ends."""


def seen(folder: Path, pictures: list[Path], sounds: list[Path]) -> tuple[list[Place], list[Place]]:
    """Decode them all at once, each by its file's own clock."""
    inputs = [word for path in (*pictures, *sounds) for word in ("-i", path)]
    outputs: list[str | Path] = []
    for number in range(len(pictures)):
        graph = ("-vf", "scale=1:1,fps=200:start_time=0,format=gray")
        outputs += ["-map", f"{number}:v", *graph, "-f", "rawvideo", folder / f"{number}.gray"]
    for number in range(len(sounds)):
        graph = ("-af", "aresample=async=1:first_pts=0")
        outputs += [
            "-map",
            f"{len(pictures) + number}:a",
            *graph,
            "-ac",
            "1",
            "-ar",
            "8000",
            "-f",
            "s16le",
            folder / f"{number}.pcm",
        ]
    ffmpeg("-copyts", *inputs, *outputs)
    looks = [(folder / f"{number}.gray").read_bytes() for number in range(len(pictures))]
    waves = [array("h", (folder / f"{number}.pcm").read_bytes()) for number in range(len(sounds))]
    flashes = [
        (next(number for number, level in enumerate(look) if level > 128) / 200, len(look) / 200) for look in looks
    ]
    return flashes, [
        (next(number for number, level in enumerate(wave) if abs(level) > 4000) / 8000, len(wave) / 8000)
        for wave in waves
    ]


PART = {"start_seconds": 1, **FAST}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("late.mkv", (FAST, PART, WEBM, STREAM, {"format": "mp3"})),
        ("early.mkv", (FAST, PART, WEBM, STREAM)),
        # the clocks of these two begin at another time: the source is read in another way
        ("late.mp4", (FAST, PART)),
        ("late.ts", (FAST, PART)),
    ],
)
def test_sound_and_frames_keep_their_places_if_one_of_them_begins_late(
    transcode: Run, sources: Path, tmp_path: Path, late: Path, name: str, asked: tuple[dict[str, Any], ...]
) -> None:
    made = transcode(copied(late / name, sources), *asked)
    files = [media(made, label) for label in ("o0", "o1", "o2")[: min(3, len(asked))]]
    streams = [media(made, label) for label in ("p.m4s", "sound.m4s")] if STREAM in asked else []
    alone = [path for output, path in made if output["media_type"] == "audio/mpeg"]
    flashes, beeps = seen(tmp_path, [*files, *streams[:1]], [*files, *streams[1:], *alone])
    for number, ((flash, flash_end), (beep, beep_end)) in enumerate(zip(flashes, beeps, strict=False)):
        before = 1 if number == 1 else 0
        assert (flash, beep) == pytest.approx((2 - before, 2 - before), abs=0.055)
        assert flash - beep == pytest.approx(0, abs=0.03)
        assert (flash_end, beep_end) == pytest.approx((3 - before, 3 - before), abs=0.1)
    assert [beep for beep, _ in beeps[len(flashes) :]] == [pytest.approx(2, abs=0.06)] * len(alone)


def test_a_part_behind_the_end_of_one_track_is_still_made(transcode: Run, sources: Path) -> None:
    inputs, outputs = [], []
    for number, (name, picture, sound) in enumerate((("sound", 6, 2), ("picture", 2, 6))):
        inputs += [
            "-f",
            "lavfi",
            "-i",
            f"testsrc2=s=64x48:d={picture}:r=25",
            "-f",
            "lavfi",
            "-i",
            f"sine=440:d={sound}",
        ]
        outputs += ["-map", f"{2 * number}", "-map", f"{2 * number + 1}", *SMALL, str(sources / f"{name}.mp4")]
    ffmpeg(*inputs, *outputs)
    short_sound, short_picture = sources / "sound.mp4", sources / "picture.mp4"
    part = {"start_seconds": 3, "end_seconds": 5}
    made = transcode(short_sound, part | FAST, part | STREAM)
    assert ends(media(made, "o0")) == [pytest.approx([2], abs=0.05)], "without sound"
    assert [output["name"] for output, _ in made[1:]] == ["o1", "o1/48p.m3u8", "o1/48p.m4s"]
    with pytest.raises(PermanentError, match=r"start_seconds is 3, but the video ends at 2\."):
        transcode(short_sound, part | {"format": "mp3"})
    stills = (
        {"format": "png", "at_seconds": 5},
        {"format": "poster"},
        {"format": "png", "at_seconds": 1.96},
        {"format": "sprite", "interval_seconds": 0.5},
    )
    made = transcode(short_picture, part | FAST, FAST, *stills)
    assert ends(media(made, "o0"), media(made, "o1")) == [
        pytest.approx([2, 2], abs=0.05),
        pytest.approx([2, 6], abs=0.05),
    ]
    assert media(made, "o2").read_bytes() == media(made, "o4").read_bytes(), "the last frame is shown for the rest"
    assert next(output for output, _ in made if output["name"] == "o5")["tiles"] == 4


def test_the_frame_shown_at_a_time_is_taken_even_if_none_begins_there(transcode: Run, sources: Path) -> None:
    """Red from 0, lime from 2 s, blue from 4 s to 6 s."""
    source = slides(sources / "slides.gif", 2000, 2000, 2000)
    stills = [{"format": "png", "at_seconds": seconds} for seconds in (1.9, 3, 6)]
    (cut, path), *made = transcode(source, {"start_seconds": 3, "end_seconds": 5, **FAST}, *stills)
    assert [near(opened(still), (0.5, 0.5), colour) for (_, still), colour in zip(made, COLOURS, strict=True)] == [
        True
    ] * 3
    assert times(path) == [pytest.approx([0, 1], abs=0.001)]
    assert [near(frame, (0.5, 0.5), colour) for frame, colour in zip(frames(path), ("lime", "blue"), strict=True)] == [
        True
    ] * 2
    assert cut["duration_seconds"] == 2.0


GIF, WEBP = {"format": "gif"}, {"format": "webp"}
TWO_PASSES = {"format": "webm", "video_bit_rate": 60_000, "two_pass": True, "speed": "ultrafast"}


@pytest.mark.parametrize(
    ("fps", "asked"),
    [
        (0.1, (FAST, WEBM, GIF, WEBP)),  # a single frame
        (0.3, (FAST, STREAM, TWO_PASSES, GIF, WEBP)),  # the last interval ends after the video
        (1, (WEBM,)),  # the last frame lasts less than half of its interval
    ],
)
def test_few_frames_a_second_change_no_length(
    transcode: Run, sources: Path, fps: float, asked: tuple[dict[str, Any], ...]
) -> None:
    """Check a length that is not a multiple of the interval."""
    seconds, frames_shown = 5.4, math.ceil(5.4 * fps)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5", "-t", "5.4", *SMALL, sources / "film.mp4")
    made = transcode(sources / "film.mp4", *(each | {"fps": fps} for each in asked))
    # an HLS stream is three entries, of which the last has the frames
    films = [path for output, path in made if output["media_type"] in ("video/mp4", "video/webm")]
    for shown in times(*films):
        assert shown == pytest.approx([number / fps for number in range(frames_shown)], abs=0.006)
    assert ends(*films) == [pytest.approx([seconds], abs=0.02)] * len(films)
    moving = [output for output, _ in made if output["media_type"] in ("image/gif", "image/webp")]
    for output in moving:
        still = frames_shown == 1 and output["media_type"] == "image/webp"
        assert output.get("duration_seconds", 0) == pytest.approx(0 if still else seconds, abs=0.02)


@pytest.mark.parametrize(("fps", "begin", "end", "shown"), [(1, 0, 2.6, 3), (4, 0.5, 1.6, 5), (10, 0, 1.36, 14)])
def test_a_webp_lasts_as_long_as_its_part(
    transcode: Run, sources: Path, fps: float, begin: float, end: float, shown: int
) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2.6", *SMALL, sources / "film.mp4")
    part = {"start_seconds": begin, "end_seconds": end, "fps": fps}
    ((output, path),) = transcode(sources / "film.mp4", WEBP | part)
    assert output["duration_seconds"] == pytest.approx(end - begin, abs=0.002)
    assert opened(path).n_frames == shown  # type: ignore[attr-defined]
