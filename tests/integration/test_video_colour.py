"""Colours of real films, seen through decoders of our own that believe the tags of what was made."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.films import FAST, Run, facts, ffmpeg, opened, runner
from tests.fix_processors import Attempt

GREEN = (0, 192, 0)
PIXEL = tuple[int, ...]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


@pytest.fixture
def run(attempt: Attempt, sources: Path) -> Run:
    return runner(attempt, sources)


def plain(path: Path, colour: str, *options: str, size: str = "64x48", graph: str = "null") -> Path:
    """Make a film of one colour; the options say how it is written."""
    ffmpeg("-f", "lavfi", "-i", f"color={colour}:s={size}:r=5:d=0.6,format=rgb24", "-vf", graph, *options, path)
    return path


def matrix(name: str, reach: str = "tv") -> str:
    return f"scale=out_color_matrix={name}:out_range={reach},format=yuv420p"


def shown(path: Path, at: tuple[float, float] = (0.5, 0.5)) -> PIXEL:
    """The pixel that a player shows who believes the tags, and fails without them."""
    seen = facts(path).get("video", {})
    if path.read_bytes()[:4] in (b"\x89PNG", b"RIFF", b"GIF8") or path.read_bytes()[:2] == b"\xff\xd8":
        picture: Any = opened(path).convert("RGBA" if "A" in opened(path).mode or "transparency" in opened(path).info else "RGB")
    else:
        names = {"bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601"}
        options = f"in_color_matrix={names[seen['color_space']]}:in_range={seen['color_range']}"
        data = ffmpeg("-i", path, "-frames:v", "1", "-vf", f"scale={options},format=gbrp,format=rgb24", "-f", "rawvideo", "-")
        picture = Image.frombytes("RGB", (seen["width"], seen["height"]), data)
    pixel = picture.getpixel((int(picture.width * at[0]), int(picture.height * at[1])))
    assert isinstance(pixel, tuple)
    return pixel


def near(pixel: PIXEL, colour: PIXEL, tolerance: int = 6) -> bool:
    return all(abs(one - other) <= tolerance for one, other in zip(pixel, colour, strict=True))


ALL = ({"width": 32, **FAST}, {"format": "poster"}, {"format": "png"}, {"format": "webp"}, {"format": "gif"}, {"format": "sprite", "interval_seconds": 0.3})
H264 = ("-c:v", "libx264")
SOURCES = {
    "hd-tagged": ((*H264, "-colorspace", "bt709"), {"size": "1280x720", "graph": matrix("bt709")}),
    "hd-untagged": (H264, {"size": "1280x720", "graph": matrix("bt709") + ",setparams=colorspace=unknown"}),
    "sd-untagged": (H264, {"graph": matrix("bt601") + ",setparams=colorspace=unknown"}),
    "sd-of-bt709": ((*H264, "-colorspace", "bt709"), {"graph": matrix("bt709")}),
    "full-range": ((*H264, "-color_range", "pc", "-colorspace", "bt709"), {"graph": matrix("bt709", "pc") + ",setparams=range=pc"}),
    "rgb": (("-c:v", "qtrle"), {"size": "1280x720"}),
    "png": (("-c:v", "png"), {}),
    "mjpeg": (("-c:v", "mjpeg", "-q:v", "2"), {"size": "1280x720", "graph": matrix("bt601", "pc").replace("yuv420p", "yuvj420p")}),
    "bt2020": ((*H264, "-colorspace", "smpte240m"), {"graph": matrix("smpte240m")}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_output_shows_the_colour_of_its_source(run: Run, sources: Path, name: str) -> None:
    options, how = SOURCES[name]
    source = plain(sources / "source.mov", "0x00C000", *options, **how)
    made = [(output, path) for output, path in run(source, *ALL) if output["media_type"] != "text/vtt"]
    seen = {output["name"]: shown(path)[:3] for output, path in made}
    assert len(seen) == len(ALL)
    assert all(near(pixel, GREEN) for pixel in seen.values()), seen
