"""Small videos that ffmpeg makes for the tests, and checks of results that do not use the product."""

import io
import json
import math
import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from dtqs.processors.video import VideoProcessor
from dtqs.processors.video.payload import VideoPayload
from dtqs.processors.video.settings import VideoSettings
from tests.support.fix_processors import Attempt

FAST = {"speed": "ultrafast"}
QUARTERS = ("red", "lime", "blue", "yellow")
"""Upper left, upper right, lower left, lower right: a turned or mirrored copy always looks different."""
_FFMPEG = ("ffmpeg", "-v", "error", "-nostdin", "-y")
Made = list[tuple[dict[str, Any], Path]]
Run = Callable[..., Made]


def ffmpeg(*arguments: str | Path) -> bytes:
    return subprocess.run([*_FFMPEG, *map(str, arguments)], check=True, capture_output=True, timeout=60).stdout


def film(path: Path, *options: str, seconds: float = 2, size: tuple[int, int] = (96, 64), sound: bool = True) -> Path:
    """Make a video of four coloured quarters, 25 frames a second, with a tone; the path's suffix sets the format."""
    inputs: list[str] = []
    for colour in QUARTERS:
        inputs += ["-f", "lavfi", "-i", f"color={colour}:s={size[0] // 2}x{size[1] // 2}:r=25:d={seconds}"]
    inputs += ["-f", "lavfi", "-i", f"sine=440:d={seconds}"] if sound else []
    graph = "[0][1][2][3]xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0[v]"
    streams = ["-map", "[v]", *(["-map", "4:a"] if sound else [])]
    ffmpeg(*inputs, "-filter_complex", graph, *streams, "-pix_fmt", "yuv420p", *(options or ("-g", "25")), path)
    return path


def facts(path: Path | str, *options: str) -> dict[str, Any]:
    """Return the fields that ffprobe reports for the format, and the first stream of each type by type."""
    command = ["ffprobe", "-v", "error", "-print_format", "json", "-show_format", "-show_streams", *options, str(path)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    streams: dict[str, dict[str, Any]] = {}
    for stream in report["streams"]:
        streams.setdefault(stream["codec_type"], stream)
    return {**report["format"], **streams, "chapters": report.get("chapters", [])}


def times(*paths: Path, kind: str = "v") -> list[list[float]]:
    """Return when each frame of each file is shown, as its packets say.

    One ffmpeg reads all files, because starting it takes most of the time.
    """
    inputs = [word for path in paths for word in ("-i", path)]
    maps = [word for number in range(len(paths)) for word in ("-map", f"{number}:{kind}:0")]
    report = ffmpeg("-copyts", *inputs, *maps, "-c", "copy", "-f", "framecrc", "-").decode()
    seconds = {
        number: float(Fraction(beat)) for number, beat in re.findall(r"^#tb (\d+): (\S+)$", report, re.MULTILINE)
    }
    found: list[list[float]] = [[] for _ in paths]
    for number, shown in re.findall(r"^(\d+), +-?\d+, +(-?\d+),", report, re.MULTILINE):
        found[int(number)].append(int(shown) * seconds[number])
    return [sorted(each) for each in found]


def frames(path: Path | str) -> list[Image.Image]:
    """Return all frames of a small video."""
    data = ffmpeg("-i", path, "-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "ppm", "-")
    head = data.split(b"\n", 2)
    length = sum(len(line) + 1 for line in head[:2]) + len(b"255\n") + 3 * math.prod(map(int, head[1].split()))
    return [decoded(data[begin : begin + length]) for begin in range(0, len(data), length)]


def picture_at(path: Path | str, seconds: float, *options: str) -> Image.Image:
    """Return the frame at this time."""
    jump = ("-ss", str(seconds)) if seconds else ()
    data = ffmpeg(*options, *jump, "-i", path, "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-")
    return decoded(data)


def decoded(data: bytes) -> Image.Image:
    head = data.split(b"\n", 3)
    width, height = map(int, head[1].split())
    return Image.frombytes("RGB", (width, height), head[3])


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def near(picture: Image.Image, at: tuple[float, float], colour: str, tolerance: int = 40) -> bool:
    """Return whether the pixel at this fraction of width and height has about this colour."""
    pixel = picture.convert("RGB").getpixel((int(picture.width * at[0]), int(picture.height * at[1])))
    wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    assert isinstance(wanted, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, wanted, strict=True))


def quarters(picture: Image.Image) -> list[str]:
    """Return the colours of the four quarters, `?` for any other colour."""
    places = [(0.25 + index % 2 * 0.5, 0.25 + index // 2 * 0.5) for index in range(4)]
    return [next((colour for colour in QUARTERS if near(picture, place, colour)), "?") for place in places]


@cache
def _processor(**settings: Any) -> VideoProcessor:
    """Keep one processor for all tasks, as a worker does: it asks ffmpeg once for its encoders."""
    return VideoProcessor(VideoSettings(**settings))


def runner(attempt: Attempt, folder: Path) -> Run:
    """Return a function that runs the processor on a video in the folder.

    It returns the facts of each output with the path of the stored file.
    """

    def run(source: Path, *outputs: dict[str, Any], **settings: Any) -> Made:
        asked = {"outputs": [{"name": f"o{index}", **output} for index, output in enumerate(outputs)]}
        payload = VideoPayload.model_validate({"source": f"file:{source}", **asked})
        processor = _processor(**settings)
        assert processor.problems(payload) == []
        context = attempt.context()
        try:
            result = processor.run(payload, context)
        finally:
            context.close()
        return [(output, attempt.space.path_of(output["uri"].removeprefix("upload:"))) for output in result["outputs"]]

    folder.mkdir(exist_ok=True)
    return run
