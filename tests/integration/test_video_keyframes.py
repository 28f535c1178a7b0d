"""Key frames of videos, and the segments of streams that begin with them."""

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.films import Made, Run, ffmpeg

SMALL = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
IDR, LEADING = {19, 20}, {6, 7, 8, 9}
"""Types of the units of HEVC: key frames without frames that refer to earlier ones, and such frames."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make five seconds of three scenes, which change at 1.6 and at 3.6 s."""
    path = tmp_path_factory.mktemp("scenes") / "scenes.mp4"
    inputs = []
    for graph in ("testsrc2=s=192x128:r=25:d=1.6", "mandelbrot=s=192x128:r=25", "rgbtestsrc=s=192x128:r=25"):
        inputs += ["-f", "lavfi", "-i", graph]
    graph = (
        "[1]trim=duration=2[b];[2]trim=duration=1.4,hue=H=t[c];[0]format=yuv420p[a0];[b]format=yuv420p[b0];"
        "[c]format=yuv420p[c0];[a0][b0][c0]concat=n=3"
    )
    ffmpeg(*inputs, "-f", "lavfi", "-i", "sine=440:d=5", "-filter_complex", graph, "-map", "3:a", *SMALL, path)
    return path


def source(scenes: Path, sources: Path) -> Path:
    (sources / "film.mp4").write_bytes(scenes.read_bytes())
    return sources / "film.mp4"


def key_times(path: Path) -> list[float]:
    """Return the times of the packets that are marked as key frames."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time,flags"]
    done = subprocess.run([*command, "-of", "csv=p=0", path], check=True, capture_output=True, text=True, timeout=60)
    packets = (line.split(",") for line in done.stdout.splitlines())
    return sorted(float(shown) for shown, flags, *_ in packets if "K" in flags)


def units(path: Path) -> list[int]:
    """Return the types of the units of an HEVC video."""
    data = ffmpeg("-i", path, "-map", "0:v", "-c", "copy", "-bsf:v", "hevc_mp4toannexb", "-f", "hevc", "-")
    return [data[found.end()] >> 1 & 63 for found in re.finditer(rb"\x00\x00\x01", data)]


def lengths(made: Made) -> dict[str, list[float]]:
    """Return the lengths of the segments of each part of a stream."""
    return {
        output["name"]: [float(length) for length in re.findall(r"#EXTINF:([\d.]+)", path.read_text())]
        for output, path in made
        if output["name"].endswith(".m3u8")
    }


def named(made: Made, end: str) -> Path:
    return next(path for output, path in made if output["name"].endswith(end))


def test_segments_of_hevc_are_equal_and_independent(transcode: Run, scenes: Path, sources: Path) -> None:
    ladder = {"renditions": [{"short_side": 128}, {"short_side": 64}], "segment_seconds": 2}
    made = transcode(
        source(scenes, sources), {"format": "hls", "video_codec": "hevc", "speed": "veryfast", "mute": True, **ladder}
    )
    assert lengths(made) == {f"o0/{side}p.m3u8": [2.0, 2.0, 1.0] for side in (128, 64)}
    for side in (128, 64):
        media = named(made, f"{side}p.m4s")
        begin, *later = key_times(media)
        assert {2.0, 4.0} <= {round(key - begin, 3) for key in later}
        kinds = units(media)
        assert not {kind for kind in kinds if 16 <= kind <= 23} - IDR
        assert not LEADING & set(kinds), "no frame refers to one before the key frame"


@pytest.mark.parametrize("more", [{}, {"video_bit_rate": 100_000, "two_pass": True}])
def test_key_frames_of_hevc_may_be_less_than_a_second_apart(
    transcode: Run, scenes: Path, sources: Path, more: dict[str, Any]
) -> None:
    asked = {"video_codec": "hevc", "speed": "veryfast", "keyframe_seconds": 0.5, "mute": True, **more}
    ((_, path),) = transcode(source(scenes, sources), asked)
    keys = key_times(path)
    assert max(after - before for before, after in itertools.pairwise([*keys, 5.0])) == pytest.approx(0.52)
    assert not {kind for kind in units(path) if 16 <= kind <= 23} - IDR


def test_key_frames_of_av1_have_the_requested_distance(transcode: Run, scenes: Path, sources: Path) -> None:
    av1 = {"video_codec": "av1", "speed": "ultrafast", "crf": 50}
    made = transcode(
        source(scenes, sources),
        {**av1, "keyframe_seconds": 1, "mute": True},
        {**av1, "keyframe_seconds": 0.5, "fps": 10, "mute": True},
        {**av1, "format": "hls", "segment_seconds": 1},
    )
    assert key_times(made[0][1]) == pytest.approx([0.0, 1.0, 2.0, 3.0, 4.0])
    assert key_times(made[1][1]) == pytest.approx([number / 2 for number in range(10)])
    seconds = lengths(made)
    assert seconds["o2/128p.m3u8"] == pytest.approx([1.0] * 5, abs=0.001)
    assert seconds["o2/sound.m3u8"][:5] == pytest.approx([1.0] * 5, abs=0.1)
