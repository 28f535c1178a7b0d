"""Fixtures `source` and `run`: the image processor on bytes of a test, and images on which every wrong turn shows."""

import functools
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat

from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.processor import ImageProcessor
from dtqs.processors.image.settings import ImageSettings
from tests.support.fix_processors import Attempt

ROOT = Path(__file__).parents[2]
MEDIA = next(
    path for path in (ROOT.parent / "shared" / "media", ROOT / "docs" / "media") if (path / "rocket.jpg").exists()
)
QUARTERS = ("#ff0000", "#00ff00", "#0000ff", "#ffff00")
Made = list[Image.Image]
Run = Callable[..., tuple[dict[str, Any], Made]]


@pytest.fixture
def source(tmp_path: Path) -> Callable[[bytes], str]:
    folder = tmp_path / "sources"
    folder.mkdir()

    def write(data: bytes) -> str:
        (folder / "source.jpg").write_bytes(data)
        return f"file:{folder}/source.jpg"

    return write


@functools.cache
def processor(**settings: int) -> ImageProcessor:
    """Return one processor for all tests with these settings, as a worker has: its process starts once."""
    return ImageProcessor(ImageSettings(**settings))


@pytest.fixture
def run(attempt: Attempt, source: Callable[[bytes], str]) -> Run:
    """Run the processor on a file with these bytes; return its result and the outputs, opened again."""

    def run(data: bytes, *outputs: dict[str, Any], **settings: int) -> tuple[dict[str, Any], Made]:
        asked = (
            {"outputs": [{"name": f"o{index}", **output} for index, output in enumerate(outputs)]} if outputs else {}
        )
        payload = ImagePayload.model_validate({"source": source(data), **asked})
        result = processor(**settings).run(payload, attempt.context())
        made: Made = []
        for facts in result["outputs"]:
            with attempt.space.open_input(facts["uri"]) as file:
                stored = file.read()
            picture = Image.open(io.BytesIO(stored))
            picture.load()
            assert facts["size_bytes"] == len(stored)
            assert facts["sha256"] == hashlib.sha256(stored).hexdigest()
            assert (facts["width"], facts["height"]) == picture.size
            # Pillow says image/apng; for clients an APNG is a PNG
            assert facts["media_type"] == str(picture.get_format_mimetype()).replace("apng", "png")
            made.append(picture)
        return result, made

    return run


def saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def quarters(size: tuple[int, int] = (400, 200)) -> Image.Image:
    """Return red and green above blue and yellow: a turned or mirrored copy always looks different."""
    width, height = size
    picture = Image.new("RGB", size)
    for index, colour in enumerate(QUARTERS):
        left, top = index % 2 * width // 2, index // 2 * height // 2
        picture.paste(colour, (left, top, left + width // 2, top + height // 2))
    return picture


def near(picture: Image.Image, at: tuple[float, float], colour: str | tuple[int, ...], tolerance: int = 12) -> bool:
    """Return whether the pixel at this fraction of width and height has about this colour."""
    pixel = picture.convert("RGB").getpixel((int(picture.width * at[0]), int(picture.height * at[1])))
    wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    assert isinstance(wanted, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, wanted, strict=True))


def upright(picture: Image.Image) -> bool:
    return all(
        near(picture, (0.25 + index % 2 * 0.5, 0.25 + index // 2 * 0.5), colour)
        for index, colour in enumerate(QUARTERS)
    )


def difference(a: Image.Image, b: Image.Image) -> float:
    """Return the root of the mean squared difference, 0 to 255."""
    return max(ImageStat.Stat(ImageChops.difference(a.convert("RGB"), b.convert("RGB"))).rms)


def with_hole(mode: str = "RGBA") -> Image.Image:
    picture = Image.new("RGBA", (100, 100), "#ff0000")
    picture.paste((0, 0, 0, 0), (50, 0, 100, 100))
    return picture.convert(mode)


def profile(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()  # type: ignore[arg-type]
