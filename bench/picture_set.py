"""The images for bench/image.py, the same on every machine, and a measure for the similarity of two images."""

import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageMath

_MEDIA = Path(__file__).resolve().parents[1] / "docs" / "media"
_NAMES = ("rocket.jpg", "astronaut.png", "chelsea.png")
_SIZE = (4000, 3000)
_PARTS = (0.9, 0.75)
"""The fractions of each image's width that are used."""
_NOISE = 14
_BLOCK = 7
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def make_set(folder: Path) -> Sequence[Path]:
    """Write JPEGs of 12 megapixels: enlarged parts of photographs. Noise makes the files as large as a camera's."""
    noise = Image.frombytes("L", _SIZE, random.Random(1).randbytes(_SIZE[0] * _SIZE[1])).point(
        [128 + (level - 128) * _NOISE // 128 for level in range(256)]
    )
    grain, files = Image.merge("RGB", (noise, noise, noise)), []
    for name in _NAMES:
        with Image.open(_MEDIA / name) as image:
            whole = image.convert("RGB")
        for part in _PARTS:
            width = min(whole.width * part, whole.height * _SIZE[0] / _SIZE[1])
            large = whole.resize(_SIZE, Image.Resampling.BICUBIC, (0, 0, width, width * _SIZE[1] / _SIZE[0]))
            files.append(folder / f"{Path(name).stem}-{part}.jpg")
            ImageChops.add(large, grain, 1, -128).save(files[-1], quality=88)
    return files


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Return the structural similarity of two images in grey, at most 1: the mean over blocks of 7 × 7."""
    a, b = (picture.convert("L").convert("F") for picture in (one, other))
    aa, bb, ab = (
        ImageMath.lambda_eval(lambda v: v["x"] * v["y"], x=x, y=y).reduce(_BLOCK) for x, y in ((a, a), (b, b), (a, b))
    )
    values = _floats(a.reduce(_BLOCK), b.reduce(_BLOCK), aa, bb, ab)
    blocks = [_block(*five) for five in values]
    return sum(blocks) / len(blocks)


def _floats(*pictures: Image.Image) -> Sequence[tuple[float, ...]]:
    return list(zip(*(memoryview(picture.tobytes()).cast("f") for picture in pictures), strict=True))


def _block(a: float, b: float, aa: float, bb: float, ab: float) -> float:
    return ((2 * a * b + _C1) * (2 * (ab - a * b) + _C2)) / ((a * a + b * b + _C1) * (aa - a * a + bb - b * b + _C2))
