"""What the numbers of a pixel mean: every mode of Pillow's becomes 8-bit grey or sRGB, with or without alpha, by the embedded profile if there is one."""

import io
import math

from PIL import Image, ImageCms

PLAIN = frozenset({"L", "LA", "RGB", "RGBA"})
_SCALABLE = PLAIN | {"CMYK"}
_TRANSPARENT = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}


def scalable(image: Image.Image) -> Image.Image:
    """Return the picture in a mode whose pixels may be averaged: no palette, no bits, no 16-bit numbers, transparency as alpha."""
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    if "transparency" in image.info and image.mode in _TRANSPARENT:
        # by way of RGBA: Pillow has no direct way for every mode
        return image.convert("RGBA").convert(_TRANSPARENT[image.mode])
    if image.mode in _SCALABLE:
        return image
    return image.convert({"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}.get(image.mode, _of_palette(image)))


def srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """Return the picture in grey or sRGB, and a remark when its profile could not be used."""
    remark = None
    if profile:
        try:
            return _by_profile(image, profile), None
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
            remark = f"the colour profile cannot be used, and was ignored: {error}"[:300]
    return (image if image.mode in PLAIN else image.convert("RGB")), remark


def fitting_profile(image: Image.Image, profile: bytes | None) -> bytes | None:
    """Return the profile if it is one for pixels of this sort, so that it may be kept with them."""
    if not profile:
        return None
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return profile if space == {"L": "GRAY", "LA": "GRAY", "CMYK": "CMYK"}.get(image.mode, "RGB") else None


def has_transparency(image: Image.Image) -> bool:
    """Tell whether any pixel can be seen through."""
    if image.mode not in ("LA", "RGBA"):
        return False
    lowest = image.getchannel("A").getextrema()[0]
    return isinstance(lowest, int | float) and lowest < 255


def flatten(image: Image.Image, background: str) -> Image.Image:
    """Return the picture without alpha, on a background."""
    if image.mode not in ("LA", "RGBA"):
        return image
    base = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(base, image.convert("RGBA")).convert("RGB")


def _of_palette(image: Image.Image) -> str:
    return "RGBA" if image.mode == "P" and image.palette is not None and image.palette.mode == "RGBA" else "RGB"


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale larger numbers down; Pillow's own conversion cuts everything above 255 off."""
    low, high = _range(image)
    scale = 255.0 / (high - low) if high > low else 1.0
    wide = image if image.mode == "F" else image.convert("I")
    return wide.point(lambda value: value * scale + -low * scale).convert("L")


def _range(image: Image.Image) -> tuple[float, float]:
    """What is black and what is white: by the mode where it says so, else the next usual range that holds all values."""
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    low, high = image.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float) and math.isfinite(low) and math.isfinite(high)):
        raise ValueError("pixels without a finite value")
    usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    return next(((0.0, top) for top in usual if low >= 0 and high <= top), (low, high))


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if image.mode in PLAIN and ImageCms.getProfileDescription(source).strip().startswith("sRGB"):
        return image
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image.convert(image.mode[:-1]) if alpha else image
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(colours, source, target, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB", flags=ImageCms.Flags.BLACKPOINTCOMPENSATION)
    if converted is None:
        raise ValueError("no conversion")
    converted.info = {}  # the writers would embed the profile that it has there
    if colours.mode == "L":
        converted = converted.convert("L")
    if alpha:
        converted.putalpha(alpha)
    return converted
