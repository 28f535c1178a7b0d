"""Tracks that begin late, above all in formats where ffmpeg moves the clock to the first track in use."""

from pathlib import Path
from typing import Any

import pytest

from dtqs.errors import PermanentError
from tests.support.films import Run, facts, ffmpeg, frames, near, opened

FAST = {"speed": "ultrafast", "mute": True}
SMALL = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")
LATE_SECONDS = 1.4


def flashing(path: Path, white_at: float, ends: float, *codecs: str) -> Path:
    """Make a tone, and from 1.4 s on a black picture that turns white at this time."""
    black, white = white_at - LATE_SECONDS, ends - white_at
    flash = f"color=black:s=64x48:r=25:d={black}[a];color=white:s=64x48:r=25:d={white}[b];[a][b]concat"
    inputs = ("-f", "lavfi", "-i", f"sine=440:d={ends}", "-itsoffset", str(LATE_SECONDS), "-f", "lavfi", "-i", flash)
    ffmpeg(*inputs, "-map", "0", "-map", "1", *(codecs or (*SMALL, "-g", "25", "-c:a", "aac")), path)
    return path


@pytest.mark.parametrize("name", ["late.ts", "late.mpg"])
def test_an_image_is_taken_at_its_time_if_the_audio_begins_first(transcode: Run, sources: Path, name: str) -> None:
    codecs = ("-c:v", "mpeg1video", "-c:a", "mp2", "-r", "25") if name == "late.mpg" else ()
    source = flashing(sources / name, 2.5, 3.4, *codecs)
    asked = ({"at_seconds": seconds} for seconds in (0, 2, 2.6, 3.3))
    made = transcode(source, *({"format": "png", **at} for at in asked), {"format": "poster"})
    colours = ["black", "black", "white", "white", "black"]
    assert [near(opened(path), (0.5, 0.5), colour) for (_, path), colour in zip(made, colours, strict=True)] == [
        True
    ] * 5
    with pytest.raises(PermanentError, match=r"at_seconds is 9, but the video ends at 3\."):
        transcode(source, {"format": "png", "at_seconds": 9})


def test_a_video_that_is_shorter_than_its_delay_has_a_poster(transcode: Run, sources: Path) -> None:
    source = flashing(sources / "late.ts", 1.6, 1.8)
    ((_, path),) = transcode(source, {"format": "poster", "width": 32})
    assert near(opened(path), (0.5, 0.5), "black")


def flash(path: Path) -> float:
    """Return the time of the first white frame of a video or preview with 5 frames a second."""
    return next(number for number, frame in enumerate(frames(path)) if near(frame, (0.5, 0.5), "white")) / 5


@pytest.mark.parametrize("start", [19.8, 20.6, 21.6])
def test_a_part_keeps_its_time_if_it_begins_little_after_the_lead_of_the_reading(
    transcode: Run, sources: Path, start: float
) -> None:
    """DTQS reads a file without an index from 20 s before the part on."""
    source = flashing(sources / "late.ts", 23, 24)
    part = {"start_seconds": start, "fps": 5}
    asked: list[dict[str, Any]] = [part | FAST, part | {"format": "gif"}, part | FAST | {"end_seconds": 23.6}]
    made = transcode(source, *asked)
    assert [flash(path) for _, path in made] == pytest.approx([23 - start] * 3, abs=0.21)
    assert [output["duration_seconds"] for output, _ in made] == pytest.approx(
        [24 - start, 24 - start, 23.6 - start], abs=0.25
    )


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts"])
@pytest.mark.parametrize("delays", [(0, 3), (3, 0)])
def test_a_part_ends_at_its_end_although_one_track_begins_late(
    transcode: Run, sources: Path, name: str, delays: tuple[int, int]
) -> None:
    """Try late audio and late video. ffmpeg counts the length of a part from the first frame of each track.

    The audio is silent up to 3.5 s.
    """
    inputs: list[str] = []
    tone = f"aevalsrc='if(gte(t,{3.5 - delays[1]}),sin(2764*t),0)':s=48000"
    for delay, graph in zip(delays, ("testsrc2=s=64x48:r=25", tone), strict=True):
        inputs += ["-itsoffset", str(delay), "-f", "lavfi", "-i", f"{graph}:d={9 - delay}"]
    ffmpeg(*inputs, "-map", "0", "-map", "1", *SMALL, "-g", "25", "-c:a", "aac", sources / name)
    parts: list[dict[str, Any]] = [{"end_seconds": 5}, {"start_seconds": 1, "end_seconds": 5}]
    made = transcode(
        sources / name,
        *(part | {"speed": "ultrafast"} for part in parts),
        parts[1] | {"format": "mp3"},
        parts[1] | {"format": "gif", "fps": 5},
    )
    assert [output["duration_seconds"] for output, _ in made] == pytest.approx([5, 4, 4, 4], abs=0.1)
    assert [silent_seconds(path) for _, path in made[:3]] == pytest.approx([3.5, 2.5, 2.5], abs=0.1)
    found = facts(made[0][1])
    assert [float(found[kind]["start_time"]) + float(found[kind]["duration"]) for kind in ("video", "audio")] == (
        pytest.approx([5, 5], abs=0.1)
    )


def test_audio_that_begins_late_in_an_ogg_keeps_its_time(transcode: Run, sources: Path) -> None:
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=6", "-itsoffset", "3", "-f", "lavfi", "-i", "sine=440:d=3")
    path = sources / "late.ogv"
    ffmpeg(*inputs, "-map", "0", "-map", "1", "-c:v", "libtheora", "-c:a", "libvorbis", path)
    made = transcode(path, *({"format": "mp3", "start_seconds": start} for start in (0, 1, 2.5, 4)))
    assert [silent_seconds(path) for _, path in made] == pytest.approx([3, 2, 0.5, 0], abs=0.1)


def silent_seconds(path: Path) -> float:
    """Return when the sound begins."""
    data = memoryview(ffmpeg("-i", path, "-ac", "1", "-ar", "8000", "-f", "s16le", "-")).cast("h")
    return next(number for number, level in enumerate(data) if abs(level) > 1000) / 8000
