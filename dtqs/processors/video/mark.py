"""Make a watermark from an image that may be hostile, in a process of its own.

This is a program, run by its path so that it loads little. Its arguments: the jail's orders, a file descriptor, a
name, the most width and height, an opacity. It prints the fault of the image, or nothing.
"""

import sys
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from dtqs.jail import enter
from dtqs.processors.image.colour import colour_profile, scalable, srgb

_FORMATS, _BYTES, _PIXELS = ("PNG", "JPEG", "WEBP", "GIF"), 50 << 20, 40_000_000
_BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def main() -> None:
    orders, descriptor, name, width, height, opacity = sys.argv[1:]
    enter(orders, Path.cwd())
    Image.MAX_IMAGE_PIXELS = None  # make() checks the size itself, for a better message
    with open(int(descriptor), "rb") as file:
        print(make(file, name, (int(width), int(height)), float(opacity)), end="")


def make(file: BinaryIO, name: str, most: tuple[int, int], opacity: float) -> str:
    """Write the image as a PNG that fits into this width and height; return its fault, or an empty string."""
    if file.seek(0, 2) > _BYTES:
        return f"the watermark has more than {_BYTES} bytes, the limit"
    file.seek(0)
    try:
        with Image.open(file, formats=_FORMATS) as opened:
            if opened.width * opened.height > _PIXELS:
                return f"the watermark has {opened.width} × {opened.height} pixels; allowed are {_PIXELS}"
            picture, (profile, _) = scalable(ImageOps.exif_transpose(opened)), colour_profile(opened.info)
        scale = min(most[0] / picture.width, most[1] / picture.height)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        # video has the primaries of sRGB
        picture = srgb(picture.resize(size, Image.Resampling.LANCZOS), profile)[0].convert("RGBA")
    except _BROKEN:
        return "the watermark cannot be read as an image: allowed are PNG, JPEG, WebP and GIF"
    except MemoryError:
        return "the watermark needs more memory than the limit max_memory_bytes"
    if opacity < 1:
        picture.putalpha(picture.getchannel("A").point(lambda value: round(value * opacity)))
    picture.save(name, "PNG", compress_level=1)
    return ""


if __name__ == "__main__":
    main()
