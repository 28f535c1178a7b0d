"""Converts pixels of every mode to 8-bit grey or sRGB, with or without alpha, using the embedded profile if any."""

import io
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from PIL import Image, ImageChops, ImageCms, ImageFilter, ImageStat

from dtqs.processors.image import cicp

PLAIN = frozenset({"L", "LA", "RGB", "RGBA"})
_SCALABLE = PLAIN | {"CMYK"}
_UNSEEN = 3
"""sRGB profiles of different makers differ by at most this number of levels, of 255."""
_INTENT, _FLAGS = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
_UNUSABLE = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
"""Exceptions of Pillow for a profile that is broken or of the wrong kind."""
_AROUND_PIXELS, _KNOWN_OPACITY = 8, 16
KEPT_BYTES = 100_000
"""A cache that outlives its task keeps no longer profiles: they have up to 16 MiB, and the process a limit."""
_TRANSPARENT = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}


def scalable(image: Image.Image) -> Image.Image:
    """Return the image in a mode whose pixels can be averaged: no palette, bits or 16-bit values; alpha kept."""
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    if "transparency" in image.info and image.mode in _TRANSPARENT:
        # through RGBA, because Pillow cannot convert every mode directly
        return image.convert("RGBA").convert(_TRANSPARENT[image.mode])
    if image.mode in _SCALABLE:
        return image
    if image.mode == "LAB":
        return _of_lab(image)
    return image.convert({"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}.get(image.mode, _of_palette(image)))


def colour_profile(info: Mapping[Any, Any]) -> tuple[bytes | None, cicp.Code | None]:
    """Return the profile of a loaded image, embedded or built from its other colour data; or its HDR code."""
    profile, code = info.get("icc_profile"), info.get("cicp")
    if isinstance(profile, bytes) and profile:
        return profile, None
    if code:
        return (None, code) if cicp.is_hdr(code) else (cicp.profile(code), None)
    gamma, points = info.get("gamma"), info.get("chromaticity")
    if isinstance(gamma, float) and "srgb" not in info:
        return cicp.profile_of_numbers(gamma, points if isinstance(points, tuple) and len(points) == 8 else None), None
    return None, None


def srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """Return the image in grey or sRGB, and a remark if its profile could not be used."""
    remark = None
    if profile:
        try:
            return _by_profile(image, profile), None
        except _UNUSABLE as error:
            remark = f"the colour profile cannot be used and was ignored: {error}"[:300]
    return (image if image.mode in PLAIN else image.convert("RGB")), remark


def fitting_profile(image: Image.Image, profile: bytes | None) -> bytes | None:
    """Return the profile if it fits this kind of pixels and may stay with them."""
    if not profile:
        return None
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except _UNUSABLE:
        return None
    return profile if space == {"L": "GRAY", "LA": "GRAY", "CMYK": "CMYK"}.get(image.mode, "RGB") else None


def in_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an sRGB image in the colours of an RGB profile; unchanged if the profile cannot convert to itself."""
    if not profile:
        return image
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image.convert("RGBA").convert("RGB")
    try:
        if _is_srgb(profile):
            return image
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            colours, ImageCms.createProfile("sRGB"), target, _INTENT, "RGB", flags=_FLAGS
        )
    except _UNUSABLE:
        return image
    if converted is None:
        return image
    converted.info = {}
    if alpha:
        converted.putalpha(alpha)
    return converted


def has_transparency(image: Image.Image) -> bool:
    """Tell whether any pixel is transparent, at least partly."""
    if image.mode not in ("LA", "RGBA"):
        return False
    lowest = image.getchannel("A").getextrema()[0]
    return isinstance(lowest, int | float) and lowest < 255


def without_hidden_colours(image: Image.Image) -> Image.Image:
    """Give the invisible pixels of an image with alpha the colours around them.

    Lossy formats store colours in blocks, so colours of invisible pixels would show in the edges of visible parts.
    """
    opacity = image.getchannel("A")
    if not _hides(opacity):
        return image
    image = image.convert("RGBA")
    around = image.convert("RGBa").filter(ImageFilter.BoxBlur(_AROUND_PIXELS)).convert("RGBA")
    known = around.getchannel("A").point([255 if level >= _KNOWN_OPACITY else 0 for level in range(256)])
    around.putalpha(0)
    filled = Image.new("RGBA", image.size, (*_mean(image, opacity), 0))
    filled.paste(around, mask=known)
    filled.paste(image, mask=opacity.point([0] + [255] * 255))
    return filled


def _hides(opacity: Image.Image) -> bool:
    lowest = opacity.getextrema()[0]
    return isinstance(lowest, int | float) and lowest == 0


def _mean(image: Image.Image, opacity: Image.Image) -> tuple[int, ...]:
    """Return the mean colour of the visible pixels, or black without any."""
    statistics = ImageStat.Stat(image.convert("RGB"), opacity)
    return tuple(round(level) for level in statistics.mean) if statistics.count[0] else (0, 0, 0)


def flatten(image: Image.Image, background: str) -> Image.Image:
    """Return the image on a background, without alpha."""
    if image.mode not in ("LA", "RGBA"):
        return image
    base = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(base, image.convert("RGBA")).convert("RGB")


def _of_palette(image: Image.Image) -> str:
    return "RGBA" if image.mode == "P" and image.palette is not None and image.palette.mode == "RGBA" else "RGB"


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale larger values down. Pillow's own conversion clips everything above 255."""
    low, high = _range(image)
    scale = 255.0 / (high - low) if high > low else 1.0
    wide = image if image.mode == "F" else image.convert("I")
    return wide.point(lambda value: value * scale + -low * scale).convert("L")


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the values of black and white: from the mode, or the next usual range that contains all values."""
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    low, high = image.getextrema()
    if not (
        isinstance(low, int | float) and isinstance(high, int | float) and math.isfinite(low) and math.isfinite(high)
    ):
        raise ValueError("pixels without a finite value")
    usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    return next(((0.0, top) for top in usual if low >= 0 and high <= top), (low, high))


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    if image.mode in PLAIN and _is_srgb(profile):
        return image
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image.convert(image.mode[:-1]) if alpha else image
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if colours.mode == "L" and source.profile.xcolor_space.strip() == "RGB":
        colours = colours.convert("RGB")
    converted = _converted(colours, source)
    converted.info = {}  # otherwise the writers embed the profile in it
    if image.mode in ("L", "LA"):
        converted = converted.convert("L")
    if alpha:
        converted.putalpha(alpha)
    return converted


def _converted(colours: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(colours, source, target, _INTENT, "RGB", flags=_FLAGS)
    if converted is None:
        raise ValueError("no conversion")
    return converted


def _is_srgb(profile: bytes) -> bool:
    """Tell whether a profile changes no colour, whatever its name. Most are sRGB's and need no conversion."""
    return (_is_known_srgb if len(profile) <= KEPT_BYTES else _changes_nothing)(profile)


@lru_cache(maxsize=32)
def _is_known_srgb(profile: bytes) -> bool:
    return _changes_nothing(profile)


def _changes_nothing(profile: bytes) -> bool:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if source.profile.xcolor_space.strip() != "RGB":
        return False
    levels = range(0, 256, 51)
    grid = Image.frombytes(
        "RGB", (36, 6), bytes(level for r in levels for g in levels for b in levels for level in (r, g, b))
    )
    changed = ImageChops.difference(grid, _converted(grid, source)).getextrema()
    return all(isinstance(most, tuple) and most[1] <= _UNSEEN for most in changed)


def _of_lab(image: Image.Image) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    if converted is None:
        raise ValueError("no conversion")
    converted.info = {}
    return converted
