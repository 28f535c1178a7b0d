"""Placeholders for an image that is still loading: its BlurHash (see blurha.sh) and its dominant colour."""

import math
from functools import lru_cache
from operator import mul

from PIL import Image

_SIDE = 24
_COMPONENTS = (4, 3)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_LINEAR = [
    value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
    for value in (level / 255 for level in range(256))
]
_COLOURS = 8
Colour = tuple[float, float, float]


def shrunk(picture: Image.Image) -> Image.Image:
    """Return the small copy for the two functions below."""
    scale = min(1.0, _SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def blurhash(small: Image.Image) -> str:
    """Return the BlurHash of 4 × 3 components, or 3 × 4 for an upright image. Transparent parts count as white."""
    small = _opaque(small)
    across, down = _COMPONENTS if small.width >= small.height else _COMPONENTS[::-1]
    factors = _factors(small, across, down)
    strongest = max(abs(value) for factor in factors[1:] for value in factor)
    level = max(0, min(82, math.floor(strongest * 166 - 0.5)))
    digits = _base83((across - 1) + (down - 1) * 9, 1) + _base83(level, 1) + _base83(_packed(factors[0]), 4)
    return digits + "".join(_base83(_quantised(factor, (level + 1) / 166), 2) for factor in factors[1:])


def dominant_color(small: Image.Image) -> str:
    """Return, as #rrggbb, the centre of the group of colours that covers most of the visible pixels."""
    quantised = _visible(small).quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    counts = quantised.histogram()
    palette = quantised.getpalette() or [0, 0, 0]
    most = max(range(len(palette) // 3), key=lambda index: counts[index])
    return "#" + bytes(palette[3 * most : 3 * most + 3]).hex()


def _visible(small: Image.Image) -> Image.Image:
    """Return the pixels that are at least half opaque, in a row.

    A fainter image has those with at least half of its greatest opacity, and an invisible one has all.
    """
    colours = small.convert("RGB")
    if small.mode not in ("LA", "RGBA"):
        return colours
    opacities = small.getchannel("A").tobytes()
    most = max(opacities)
    if not most:
        return colours
    pixels, least = colours.tobytes(), 128 if most >= 128 else (most + 1) // 2
    seen = b"".join(pixels[3 * at : 3 * at + 3] for at, opacity in enumerate(opacities) if opacity >= least)
    return Image.frombytes("RGB", (len(seen) // 3, 1), seen)


def _opaque(small: Image.Image) -> Image.Image:
    if small.mode not in ("LA", "RGBA"):
        return small.convert("RGB")
    base = Image.new("RGB", small.size, "#ffffff")
    base.paste(small.convert("RGB"), mask=small.getchannel("A"))
    return base


def _factors(small: Image.Image, across: int, down: int) -> list[Colour]:
    """Return the cosine transform, rows first; each sum is one call of C code."""
    width, height = small.size
    waves, columns = _waves(width, across), _waves(height, down)
    channels = []
    for channel in small.split():
        values = [_LINEAR[value] for value in channel.tobytes()]
        rows = [values[start : start + width] for start in range(0, len(values), width)]
        channels.append([[sum(map(mul, row, wave)) for row in rows] for wave in waves])
    found = []
    for y in range(down):
        for x in range(across):
            scale = (1 if x == y == 0 else 2) / (width * height)
            red, green, blue = (scale * sum(map(mul, channel[x], columns[y])) for channel in channels)
            found.append((red, green, blue))
    return found


@lru_cache(maxsize=256)
def _waves(length: int, count: int) -> list[list[float]]:
    return [[math.cos(math.pi * number * at / length) for at in range(length)] for number in range(count)]


def _packed(colour: Colour) -> int:
    red, green, blue = (_srgb(value) for value in colour)
    return red << 16 | green << 8 | blue


def _srgb(linear: float) -> int:
    value = min(1.0, max(0.0, linear))
    return round(255 * (value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055))


def _quantised(factor: Colour, most: float) -> int:
    red, green, blue = (
        max(0, min(18, math.floor(math.copysign(math.sqrt(abs(value / most)), value) * 9 + 9.5))) for value in factor
    )
    return red * 19 * 19 + green * 19 + blue


def _base83(value: int, length: int) -> str:
    return "".join(_DIGITS[value // 83**place % 83] for place in range(length - 1, -1, -1))
