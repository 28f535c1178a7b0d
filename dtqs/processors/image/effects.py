"""Effects on an image of final size, in this order: pad, turn, blur, tones, background, corners, watermark, border."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageStat

from dtqs.processors.image.colour import KEPT_BYTES, flatten, in_profile
from dtqs.processors.image.geometry import Size, anchored
from dtqs.processors.image.operations import Border
from dtqs.processors.image.payload import ImageOutput

_QUARTERS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
_FLIPS = {
    "horizontal": (Image.Transpose.FLIP_LEFT_RIGHT,),
    "vertical": (Image.Transpose.FLIP_TOP_BOTTOM,),
    "both": (Image.Transpose.ROTATE_180,),
}
_SOFT_SIDE = 48
_SMOOTH = 4
"""A corner is drawn this many times larger, and then shrunk."""
Stamp = Callable[[Image.Image], Image.Image]


def apply(picture: Image.Image, output: ImageOutput, canvas: Size | None, stamp: Stamp | None) -> Image.Image:
    """Return the image with all effects of the output; `stamp` adds the watermark."""
    picture = _turned(_padded(picture, output, canvas), output)
    picture = _toned(_sharpened(picture, output), output)
    if output.background:
        picture = flatten(picture, output.background)
    if output.corner_radius:
        picture = _rounded(picture, output.corner_radius)
    if stamp:
        picture = stamp(picture)
    return _framed(picture, output.border, output.corner_radius) if output.border else picture


def needs_rgb(output: ImageOutput) -> bool:
    """Tell whether an effect is wanted that inks (CMYK) do not support."""
    toned = output.grayscale or (output.brightness, output.contrast, output.saturation) != (1, 1, 1)
    return bool(toned or draws(output))


def draws(output: ImageOutput) -> bool:
    """Tell whether an effect adds colours or transparency to the image."""
    return bool(
        output.background
        or output.corner_radius
        or output.watermark
        or output.border
        or output.fit == "pad"
        or output.rotate % 90
    )


def with_colours_in(profile: bytes, output: ImageOutput) -> ImageOutput:
    """Return an output that keeps this profile with its own colours, which are sRGB, in those of the profile."""
    changed: dict[str, Any] = {}
    for name in ("background", "pad_with"):
        colour = getattr(output, name)
        if colour and colour != "blur":
            changed[name] = _colour_in(profile, colour)
    for name in ("watermark", "border"):
        if drawn := getattr(output, name):
            changed[name] = drawn.model_copy(update={"color": _colour_in(profile, drawn.color)})
    return output.model_copy(update=changed) if changed else output


def _colour_in(profile: bytes, colour: str) -> str:
    return (_known_colour_in if len(profile) <= KEPT_BYTES else _converted_colour)(profile, colour)


@lru_cache(maxsize=64)
def _known_colour_in(profile: bytes, colour: str) -> str:
    return _converted_colour(profile, colour)


def _converted_colour(profile: bytes, colour: str) -> str:
    pixel = in_profile(Image.new("RGB", (1, 1), colour), profile).tobytes()
    return f"#{pixel.hex()}"


def with_alpha(picture: Image.Image) -> Image.Image:
    return picture if picture.mode == "RGBA" else picture.convert("RGBA")


def _padded(picture: Image.Image, output: ImageOutput, canvas: Size | None) -> Image.Image:
    if canvas is None or canvas == picture.size:
        return picture
    colour = output.pad_with or output.background
    base = (
        _blurred_fill(picture, canvas) if colour == "blur" else Image.new("RGBA", canvas, colour or (255, 255, 255, 0))
    )
    at = anchored(output.gravity, canvas, picture.size)
    if colour:
        base.alpha_composite(with_alpha(picture), at)
        return base if picture.mode in ("LA", "RGBA") else base.convert("RGB")
    base.paste(picture, at)
    return base


def _blurred_fill(picture: Image.Image, canvas: Size) -> Image.Image:
    """Fill the canvas with the image's middle, shrunk, blurred and enlarged: that is cheap and hides details."""
    scale = _SOFT_SIDE / max(canvas)
    size = max(1, round(canvas[0] * scale)), max(1, round(canvas[1] * scale))
    part = min(picture.width / size[0], picture.height / size[1])
    width, height = size[0] * part, size[1] * part
    # rounding can make the part larger than the image, by less than a millionth of a pixel
    left, top = max(0.0, (picture.width - width) / 2), max(0.0, (picture.height - height) / 2)
    box = left, top, min(left + width, picture.width), min(top + height, picture.height)
    small = with_alpha(picture).resize(size, Image.Resampling.BILINEAR, box, reducing_gap=2.0)
    soft = small.convert("RGBa").filter(ImageFilter.GaussianBlur(2)).convert("RGBA")
    return soft.resize(canvas, Image.Resampling.BICUBIC)


def _turned(picture: Image.Image, output: ImageOutput) -> Image.Image:
    angle = output.rotate % 360
    if angle in _QUARTERS:
        picture = picture.transpose(_QUARTERS[int(angle)])
    elif angle:
        fill = output.background or (255, 255, 255, 0)
        picture = with_alpha(picture).rotate(-angle, Image.Resampling.BICUBIC, expand=True, fillcolor=fill)
    for flip in _FLIPS[output.flip] if output.flip else ():
        picture = picture.transpose(flip)
    return picture


def _sharpened(picture: Image.Image, output: ImageOutput) -> Image.Image:
    filters: list[ImageFilter.Filter] = []
    if output.blur:
        filters.append(ImageFilter.GaussianBlur(output.blur))
    if output.sharpen:
        filters.append(ImageFilter.UnsharpMask(radius=1, percent=round(100 * output.sharpen), threshold=2))
    if not filters:
        return picture
    # with alpha-weighted colours: otherwise hidden colours bleed into the edges
    weighted = {"RGBA": "RGBa", "LA": "La"}.get(picture.mode)
    work = picture.convert(weighted) if weighted else picture
    for each in filters:
        work = work.filter(each)
    return work.convert(picture.mode) if weighted else work


def _toned(picture: Image.Image, output: ImageOutput) -> Image.Image:
    if output.grayscale and picture.mode in ("RGB", "RGBA"):
        picture = picture.convert("LA" if picture.mode == "RGBA" else "L")
    tones = (
        (ImageEnhance.Brightness, output.brightness),
        (_Contrast, output.contrast),
        (ImageEnhance.Color, output.saturation),
    )
    for enhance, factor in tones:
        if factor != 1 and not (enhance is ImageEnhance.Color and picture.mode in ("L", "LA")):
            picture = enhance(picture).enhance(factor)
    return picture


class _Contrast(ImageEnhance.Contrast):
    """Pillow's contrast, around the mean of the visible pixels: the corners of a turned image have a colour, too."""

    def __init__(self, image: Image.Image) -> None:
        super().__init__(image)
        if "A" in image.mode:
            opacity = image.getchannel("A")
            statistics = ImageStat.Stat(image.convert("L"), opacity)
            mean = int(statistics.mean[0] + 0.5) if statistics.count[0] else 0
            self.degenerate = Image.new("L", image.size, mean).convert(image.mode)
            self.degenerate.putalpha(opacity)


def _rounded(picture: Image.Image, radius: int) -> Image.Image:
    shape = _shape(picture.size, radius)
    if picture.mode in ("LA", "RGBA"):
        shape = ImageChops.multiply(shape, picture.getchannel("A"))
    rounded = (
        picture.copy() if picture.mode in ("LA", "RGBA") else picture.convert("LA" if picture.mode == "L" else "RGBA")
    )
    rounded.putalpha(shape)
    return rounded


def _shape(size: Size, radius: int) -> Image.Image:
    """Return a rectangle with smooth round corners, white on black."""
    shape, radius = Image.new("L", size, 255), min(radius, min(size) // 2)
    if radius < 1:
        return shape
    large = Image.new("L", (radius * _SMOOTH, radius * _SMOOTH), 0)
    ImageDraw.Draw(large).ellipse((0, 0, 2 * radius * _SMOOTH - 1, 2 * radius * _SMOOTH - 1), fill=255)
    corner = large.resize((radius, radius), Image.Resampling.BOX)
    right, below = size[0] - radius, size[1] - radius
    mirrored = corner.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    shape.paste(corner, (0, 0))
    shape.paste(mirrored, (right, 0))
    shape.paste(corner.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, below))
    shape.paste(mirrored.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (right, below))
    return shape


def _framed(picture: Image.Image, border: Border, radius: int) -> Image.Image:
    width = min(border.width, (min(picture.size) + 1) // 2)
    ring, inner = _shape(picture.size, radius), (picture.width - 2 * width, picture.height - 2 * width)
    if min(inner) > 0:
        ring.paste(0, (width, width), _shape(inner, max(0, radius - width)))
    framed = picture.convert("RGBA" if picture.mode in ("LA", "RGBA") else "RGB")
    colour = Image.new(framed.mode, picture.size, border.color)
    return Image.composite(colour, framed, ring)
