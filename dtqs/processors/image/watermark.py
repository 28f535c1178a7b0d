"""Puts an image or a text over an output."""

from PIL import Image, ImageChops, ImageDraw, ImageFont

from dtqs.processors.image.effects import with_alpha
from dtqs.processors.image.geometry import Size, anchored
from dtqs.processors.image.operations import ImageWatermark

_TRIAL_PIXELS = 64
_LARGEST_FONT_PIXELS = 4000


def stamped(picture: Image.Image, mark: ImageWatermark, image: Image.Image | None) -> Image.Image:
    """Return the output with the watermark on it; `image` is the watermark's image, or None for a text."""
    drawn = _drawn(mark, picture.size) if image is None else _fitted(image, mark.scale, picture.size)
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    if mark.tile:
        _tile(layer, drawn, mark.margin)
    else:
        layer.paste(drawn, _at(mark, picture.size, drawn.size))
    layer.putalpha(layer.getchannel("A").point([round(level * mark.opacity) for level in range(256)]))
    result = Image.alpha_composite(with_alpha(picture), layer)
    return result if picture.mode in ("LA", "RGBA") else result.convert("RGB")


def _tile(layer: Image.Image, drawn: Image.Image, margin: int) -> None:
    """Fill the layer by doubling: a mark of one pixel would be pasted millions of times."""
    across, down = drawn.width + margin, drawn.height + margin
    layer.paste(drawn, (0, 0))
    while across < layer.width:
        layer.paste(layer.crop((0, 0, min(across, layer.width - across), drawn.height)), (across, 0))
        across *= 2
    while down < layer.height:
        layer.paste(layer.crop((0, 0, layer.width, min(down, layer.height - down))), (0, down))
        down *= 2


def _at(mark: ImageWatermark, outer: Size, inner: Size) -> tuple[int, int]:
    """Return the position; the margin shrinks if there is too little room."""
    across, down = (min(mark.margin, (whole - part) // 2) for whole, part in zip(outer, inner, strict=True))
    left, top = anchored(mark.position, (outer[0] - 2 * across, outer[1] - 2 * down), inner)
    return left + across, top + down


def _fitted(image: Image.Image, share: float, size: Size) -> Image.Image:
    scale = min(size[0] * share / image.width, size[1] / image.height)
    fitted = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return with_alpha(image).resize(fitted, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _drawn(mark: ImageWatermark, size: Size) -> Image.Image:
    """Draw the text in the size that gives it the wanted width."""
    text = mark.text or ""
    left, top, right, bottom = _extent(text, _TRIAL_PIXELS)
    scale = min(size[0] * mark.scale / max(1.0, right - left), size[1] / max(1.0, bottom - top))
    pixels = max(1.0, min(_TRIAL_PIXELS * scale, _LARGEST_FONT_PIXELS))
    left, top, right, bottom = _extent(text, pixels)
    mask = Image.new("L", (max(1, min(size[0], round(right - left))), max(1, min(size[1], round(bottom - top)))))
    ImageDraw.Draw(mask).multiline_text((-left, -top), text, fill=255, font=ImageFont.load_default(pixels))
    drawn = Image.new("RGBA", mask.size, mark.color)
    drawn.putalpha(ImageChops.multiply(mask, drawn.getchannel("A")))
    return drawn


def _extent(text: str, pixels: float) -> tuple[float, float, float, float]:
    return ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font=ImageFont.load_default(pixels))
