"""Time in films: how long what was made is, when each picture is shown, and where the sound stands; all seen by ffprobe and ffmpeg themselves."""

import itertools
import re
import subprocess
from array import array
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dtqs.errors import PermanentError
from dtqs.processors.video.command import TimeSpan
from dtqs.processors.video.cut import Cut
from dtqs.processors.video.studio import Source, Studio
from tests.support.films import Made, Run, facts, ffmpeg, film, near, opened, picture_at, runner
from tests.support.fix_processors import Attempt

FAST = {"speed": "ultrafast", "crf": 40}
SMALL = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
COLOURS = ("red", "lime", "blue")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


@pytest.fixture
def run(attempt: Attempt, sources: Path) -> Run:
    return runner(attempt, sources)


def times(path: Path, kind: str = "v") -> list[float]:
    """When each picture is shown, as the packets say it."""
    entries = ("-select_streams", f"{kind}:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0")
    said = subprocess.run(
        ["ffprobe", "-v", "error", *entries, str(path)], check=True, capture_output=True, timeout=60
    ).stdout
    return sorted(float(line.strip(b",")) for line in said.split() if line.strip(b","))


def end(path: Path, kind: str) -> float:
    """Where a track ends by its container's word."""
    said = facts(path)
    stream = said[kind]
    if "duration" in stream:
        return float(stream["start_time"]) + float(stream["duration"])
    hours, minutes, seconds = stream["tags"]["DURATION"].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def media(made: Made, name: str) -> Path:
    return next(path for output, path in made if output["name"].endswith(name))


def slides(path: Path, *lengths: int) -> Path:
    """A GIF of one colour after the other, each shown for so many milliseconds."""
    pictures = [
        Image.new("RGB", (64, 48), colour) for colour, _ in zip(itertools.cycle(COLOURS), lengths, strict=False)
    ]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=list(lengths), loop=0)
    return path


def held(path: Path, bframes: int) -> Path:
    """Two seconds of pictures, and the last one for five more."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=2:r=25", *SMALL, "-bf", "0", path.with_suffix(".h.mp4"))
    last = r"setts=duration=if(eq(N\,49)\,12800*5\,DURATION)"
    ffmpeg("-i", path.with_suffix(".h.mp4"), "-c", "copy", "-bsf:v", last, path)
    if bframes:
        ffmpeg(
            "-i",
            path,
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-bf",
            str(bframes),
            "-enc_time_base",
            "1/12800",
            path.with_suffix(".b.mkv"),
        )
    return path


def uneven(path: Path, seconds: int = 3) -> Path:
    jitter = "settb=1/90000,setpts='(N*0.04+0.5*sin(N/3)*0.03*(1+mod(N,2)))/TB'"
    source = ("-f", "lavfi", "-i", f"testsrc2=s=64x48:d={seconds}:r=25", "-vf", jitter, "-fps_mode", "passthrough")
    ffmpeg(*source, "-enc_time_base", "1/90000", *SMALL, "-bf", "0", "-video_track_timescale", "90000", path)
    return path


@pytest.mark.parametrize("name", ["slides.gif", "held.mp4", "held.mkv"])
def test_the_last_picture_is_shown_as_long_as_the_film_says(run: Run, sources: Path, name: str) -> None:
    seconds = 3.4 if name == "slides.gif" else 6.96
    source = slides(sources / name, 100, 300, 3000) if name == "slides.gif" else held(sources / "held.mp4", 0)
    if name == "held.mkv":
        ffmpeg("-i", source, "-c", "copy", sources / name)
        source = sources / name
    shown = times(source)
    made = run(
        source,
        FAST,
        {"format": "webm", **FAST},
        {"format": "hls", "speed": "ultrafast"},
        {"fps": 10, **FAST},
        {"format": "gif", "fps": 5},
    )
    mp4, webm, stream, even, gif = (media(made, label) for label in ("o0", "o1", "p.m4s", "o3", "o4"))
    for path in (mp4, stream):
        assert times(path) == pytest.approx(shown, abs=0.001)
        assert end(path, "video") == pytest.approx(seconds, abs=0.01)
    # WebM does not say how long a picture lasts: the last one stands there twice
    assert times(webm)[:-1] == pytest.approx(shown, abs=0.001)
    assert end(webm, "video") == pytest.approx(seconds, abs=0.01)
    assert times(even) == pytest.approx([number / 10 for number in range(round(seconds * 10))], abs=0.001)
    assert sum(
        float(length) for length in re.findall(r"#EXTINF:([\d.]+)", media(made, "p.m3u8").read_text())
    ) == pytest.approx(seconds, abs=0.01)
    assert made[-1][0]["duration_seconds"] == pytest.approx(seconds, abs=0.2)
    assert opened(gif).format == "GIF"


def test_every_picture_of_an_uneven_film_keeps_its_time(run: Run, sources: Path) -> None:
    source = uneven(sources / "uneven.mp4")
    shown = times(source)
    two_passes = {"format": "webm", "video_bit_rate": 60_000, "two_pass": True, "speed": "ultrafast"}
    made = run(
        source,
        FAST,
        {"format": "webm", **FAST},
        {"format": "hls", "speed": "ultrafast"},
        two_passes,
        {"start_seconds": shown[30] + 0.004, **FAST},
    )
    assert times(media(made, "o0")) == pytest.approx(shown, abs=0.0001)
    assert times(media(made, "o1")) == pytest.approx(shown, abs=0.001)
    assert times(media(made, "p.m4s")) == pytest.approx(shown, abs=0.0001)
    assert times(media(made, "o3")) == pytest.approx(shown, abs=0.0055)
    assert times(media(made, "o4")) == pytest.approx(
        [0.0, *(time - shown[30] - 0.004 for time in shown[31:])], abs=0.0001
    )


def test_a_stream_of_a_film_that_slows_down_is_as_long_as_the_film(run: Run, sources: Path) -> None:
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
    made = run(sources / "slow.mp4", {"format": "hls", "speed": "ultrafast"})
    assert times(media(made, "p.m4s")) == pytest.approx(times(sources / "slow.mp4"), abs=0.001)
    listing = media(made, "p.m3u8").read_text()
    lengths = [float(length) for length in re.findall(r"#EXTINF:([\d.]+)", listing)]
    assert sum(lengths) == pytest.approx(9.84, abs=0.05)
    assert max(lengths) <= int(re.findall(r"TARGETDURATION:(\d+)", listing)[0]) + 0.5


def flash_and_beep(path: Path, sound_at: float, picture_at: float = 0.0) -> Path:
    """Black, and white from 2 s on; silence, and a tone from 2 s on; each track begins at its own time."""
    flash = f"color=black:s=64x48:r=25:d={2 - picture_at}[a];color=white:s=64x48:r=25:d=1[b];[a][b]concat"
    beep = f"aevalsrc='if(gte(t,{2 - sound_at}),sin(2*PI*1000*t),0)':s=48000:d={3 - sound_at}"
    inputs = (
        "-itsoffset",
        str(picture_at),
        "-f",
        "lavfi",
        "-i",
        flash,
        "-itsoffset",
        str(sound_at),
        "-f",
        "lavfi",
        "-i",
        beep,
    )
    ffmpeg(*inputs, "-map", "0:v", "-map", "1:a", *SMALL, "-c:a", "libopus" if path.suffix == ".mkv" else "aac", path)
    return path


def flash_at(path: Path) -> float:
    seen = ffmpeg(
        "-copyts", "-i", path, "-map", "0:v", "-vf", "scale=1:1,fps=200:start_time=0,format=gray", "-f", "rawvideo", "-"
    )
    return next(number for number, level in enumerate(seen) if level > 128) / 200


def beep_at(path: Path) -> float:
    raw = ffmpeg(
        "-copyts",
        "-i",
        path,
        "-map",
        "0:a",
        "-af",
        "aresample=async=1:first_pts=0",
        "-ac",
        "1",
        "-ar",
        "8000",
        "-f",
        "s16le",
        "-",
    )
    return next(number for number, level in enumerate(array("h", raw)) if abs(level) > 4000) / 8000


def first(path: Path) -> float:
    """Where the file's clock begins."""
    return float(facts(path)["start_time"])


@pytest.mark.parametrize(
    ("name", "sound_at", "picture_at"),
    [("late.mkv", 1.5, 0.0), ("late.mp4", 1.5, 0.0), ("late.ts", 1.5, 0.0), ("early.mkv", 0.0, 1.5)],
)
def test_sound_and_picture_keep_their_places_where_one_of_them_begins_late(
    run: Run, sources: Path, name: str, sound_at: float, picture_at: float
) -> None:
    source = flash_and_beep(sources / name, sound_at, picture_at)
    flash, beep = flash_at(source) - first(source), beep_at(source) - first(source)
    made = run(
        source,
        FAST,
        {"format": "webm", **FAST},
        {"format": "hls", "speed": "ultrafast"},
        {"format": "mp3"},
        {"start_seconds": 1, **FAST},
    )
    places = [(media(made, "o0"),) * 2, (media(made, "o1"),) * 2, (media(made, "p.m4s"), media(made, "sound.m4s"))]
    for pictures, sounds in places:
        assert (flash_at(pictures), beep_at(sounds)) == pytest.approx((flash, beep), abs=0.055)
        assert flash_at(pictures) - beep_at(sounds) == pytest.approx(flash - beep, abs=0.03)
        assert (end(pictures, "video"), end(sounds, "audio")) == pytest.approx((3, 3), abs=0.1)
    assert beep_at(media(made, "o3")) == pytest.approx(beep, abs=0.06)
    assert (flash_at(made[-1][1]), beep_at(made[-1][1])) == pytest.approx((flash - 1, beep - 1), abs=0.055)


def test_a_part_behind_the_end_of_a_track_is_a_film_all_the_same(run: Run, sources: Path) -> None:
    short_sound, short_picture = sources / "sound.mp4", sources / "picture.mp4"
    for path, picture, sound in ((short_sound, 6, 2), (short_picture, 2, 6)):
        inputs = ("-f", "lavfi", "-i", f"testsrc2=s=64x48:d={picture}:r=25", "-f", "lavfi", "-i", f"sine=440:d={sound}")
        ffmpeg(*inputs, *SMALL, path)
    part = {"start_seconds": 3, "end_seconds": 5}
    made = run(short_sound, part | FAST, part | {"format": "hls", "speed": "ultrafast"})
    assert "audio" not in facts(media(made, "o0"))
    assert end(media(made, "o0"), "video") == pytest.approx(2, abs=0.05)
    assert [output["name"] for output, _ in made[1:]] == ["o1", "o1/48p.m3u8", "o1/48p.m4s"]
    with pytest.raises(PermanentError, match=r"start_seconds is 3, and the film ends at 2\."):
        run(short_sound, part | {"format": "mp3"})
    stills = (
        {"format": "png", "at_seconds": 5},
        {"format": "poster"},
        {"format": "png", "at_seconds": 1.96},
        {"format": "sprite", "interval_seconds": 0.5},
    )
    made = run(short_picture, part | FAST, FAST, *stills)
    assert [end(media(made, "o0"), kind) for kind in ("video", "audio")] == pytest.approx([2, 2], abs=0.05)
    assert [end(media(made, "o1"), kind) for kind in ("video", "audio")] == pytest.approx([2, 6], abs=0.05)
    assert media(made, "o2").read_bytes() == media(made, "o4").read_bytes(), "the last picture stands for the rest"
    assert next(output for output, _ in made if output["name"] == "o5")["tiles"] == 4


def test_the_picture_that_is_shown_at_a_time_is_taken_though_none_begins_then(run: Run, sources: Path) -> None:
    """Red from 0, lime from 2 s, blue from 4 s to 6 s."""
    source = slides(sources / "slides.gif", 2000, 2000, 2000)
    stills = [{"format": "png", "at_seconds": seconds} for seconds in (1.9, 3, 6)]
    (cut, path), *made, _ = run(source, {"start_seconds": 3, "end_seconds": 5, **FAST}, *stills, {"format": "poster"})
    assert [near(opened(still), (0.5, 0.5), colour) for (_, still), colour in zip(made, COLOURS, strict=True)] == [
        True
    ] * 3
    assert times(path) == pytest.approx([0, 1], abs=0.001)
    assert [
        near(picture_at(path, seconds), (0.5, 0.5), colour) for seconds, colour in ((0, "lime"), (0.9, "blue"))
    ] == [True] * 2
    assert cut["duration_seconds"] == 2.0


def test_a_film_of_one_picture_makes_a_preview_of_one(run: Run, sources: Path) -> None:
    film(sources / "one.mp4", "-frames:v", "1", seconds=0.04, sound=False)
    made = run(
        sources / "one.mp4",
        {"preset": "preview"},
        {"format": "gif"},
        {"format": "sprite"},
        {"format": "webm", **FAST},
        {"fps": 8, **FAST},
    )
    assert [getattr(opened(path), "n_frames", 1) for _, path in made[:2]] == [1, 1]
    assert len(times(media(made, "o3"))) == len(times(media(made, "o4"))) == 1


@pytest.mark.parametrize("name", ["live.webm", "live.mp4"])
def test_a_film_that_does_not_say_its_length_is_measured(run: Run, sources: Path, name: str) -> None:
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=64x48:d=3:r=25", "-f", "lavfi", "-i", "sine=440:d=3")
    how: tuple[str, ...] = (
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-c:a",
        "libopus",
        "-f",
        "webm",
        "-live",
        "1",
    )
    how = how if name == "live.webm" else (*SMALL, "-movflags", "empty_moov+frag_keyframe", "-f", "mp4")
    (sources / name).write_bytes(ffmpeg(*inputs, *how, "-"))
    made = run(
        sources / name,
        {"start_seconds": 1, **FAST},
        {"format": "sprite", "interval_seconds": 1},
        {"max_bytes": 60_000, "speed": "ultrafast"},
    )
    assert made[0][0]["duration_seconds"] == pytest.approx(2, abs=0.1)
    assert made[1][0]["tiles"] == 3
    with pytest.raises(PermanentError, match=r"takes 3 s; allowed are 2"):
        run(sources / name, FAST, max_duration_seconds=2)


def test_a_clock_that_begins_late_or_jumps_is_followed(run: Run, sources: Path) -> None:
    piece = (
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:d=2:r=25",
        "-f",
        "lavfi",
        "-i",
        "sine=440:d=2",
        *SMALL,
        "-f",
        "mpegts",
    )
    # 33 bits of a clock of 90 kHz are full after 95,443.7 s
    (sources / "wraps.ts").write_bytes(ffmpeg(*piece, "-output_ts_offset", "95442.5", "-"))
    (sources / "joined.ts").write_bytes(
        ffmpeg(*piece, "-output_ts_offset", "100", "-") + ffmpeg(*piece, "-output_ts_offset", "20", "-")
    )
    for name, seconds in (("wraps.ts", 2), ("joined.ts", 4)):
        made = run(sources / name, FAST, {"format": "sprite", "interval_seconds": 1})
        assert [end(made[0][1], kind) for kind in ("video", "audio")] == pytest.approx([seconds, seconds], abs=0.15)
        assert len(times(made[0][1])) == seconds * 25
        assert made[1][0]["tiles"] == seconds


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_a_film_that_lacks_its_end_is_told_before_it_is_encoded(
    run: Run, sources: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = film(sources / name, "-g", "25", *(("-movflags", "+faststart") if name == "film.mp4" else ()), seconds=4)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    assert run(clip, {"end_seconds": 1, **FAST}), "what is there can be had"
    monkeypatch.setattr("dtqs.processors.video.studio.Studio.run", lambda *_, **__: pytest.fail("it was encoded"))
    for output in (FAST, {"format": "mp3"}, {"format": "hls"}, {"format": "gif"}, {"format": "sprite"}):
        with pytest.raises(
            PermanentError,
            match=r"the film is cut short or broken: its (picture|sound) goes on to 4\.\d+ s by its index, and ends at",
        ):
            run(clip, output)


def test_an_encode_that_lost_its_end_is_a_failure(run: Run, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, reading = film(sources / "film.mp4", seconds=4), Studio.source

    def shorter(studio: Studio, part: Cut | TimeSpan) -> Source:
        source = reading(studio, part)
        source.made.node.kwargs["t"] = "2.0"
        return source

    monkeypatch.setattr(Studio, "source", shorter)
    for output in (FAST, {"format": "mp3"}, {"format": "hls", "speed": "ultrafast"}, {"format": "webm", **FAST}):
        with pytest.raises(PermanentError, match=r"its (picture|sound) ends at 2\.\d+ s, not at 4\.00 s"):
            run(clip, output)


STYLED = "WEBVTT\n\nSTYLE\n::cue{color:red}\n\nREGION\nid:fred\n\n00:01.000 --> 00:01.500 line:0 position:10%\nHello <c.red>red</c>\n"


def test_subtitles_with_styles_regions_and_settings_keep_their_cues(run: Run, sources: Path) -> None:
    clip = film(sources / "film.mp4")
    (sources / "text.vtt").write_text(STYLED)
    text: dict[str, Any] = {"source": f"file:{sources}/text.vtt", "mode": "carry", "language": "en"}
    made = run(
        clip,
        {"subtitles": text, **FAST},
        {"subtitles": text, "format": "webm", **FAST},
        {"subtitles": text, "format": "hls"},
        {"subtitles": text | {"mode": "burn"}, **FAST},
    )
    assert b"00:00:01,000 --> 00:00:01,500\nHello red" in ffmpeg("-i", media(made, "o0"), "-f", "srt", "-")
    assert b"line:0 position:10%\nHello <c.red>red</c>" in ffmpeg(
        "-i", media(made, "o1"), "-c", "copy", "-f", "webvtt", "-"
    )
    assert media(made, "subtitles.vtt").read_text() == STYLED.replace("00:01.", "00:00:01.")
    frames = [picture_at(media(made, "o3"), seconds) for seconds in (0.5, 1.2)]
    assert frames[0].tobytes() != frames[1].tobytes()
    for empty in ("WEBVTT\n", "WEBVTT\n\nSTYLE\n::cue{}\n"):
        (sources / "text.vtt").write_text(empty)
        with pytest.raises(PermanentError, match="the subtitles hold no cue"):
            run(clip, {"subtitles": text, **FAST})


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff1\r\n00:00:01,000 --> 00:00:01,500\r\n{\\an8}Hello\r\n",
        "1\r00:00:01,000 --> 00:00:01,500 X1:1 X2:9 Y1:1 Y2:9\rHello\r",
        "0:0:1,000 --> 0:0:1,500\nHello\n",
    ],
)
def test_subrip_of_any_hand_is_read(run: Run, sources: Path, text: str) -> None:
    clip = film(sources / "film.mp4", sound=False)
    (sources / "text.srt").write_bytes(text.encode())
    ((_, path),) = run(clip, {"subtitles": {"source": f"file:{sources}/text.srt", "mode": "carry"}, **FAST})
    assert b"00:00:01,000 --> 00:00:01,500\nHello" in ffmpeg("-i", path, "-f", "srt", "-")
