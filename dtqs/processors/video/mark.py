"""Makes a watermark out of a hostile picture, in a process of its own, run by its path so that it loads little.

Its arguments: the jail's orders, a descriptor, a name, a width, an opacity. It prints what is wrong with the picture, or nothing.
"""

import sys
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from dtqs.jail import enter

_FORMATS, _BYTES, _PIXELS = ("PNG", "JPEG", "WEBP", "GIF"), 50 << 20, 40_000_000
_BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def main() -> None:
    orders, descriptor, name, width, opacity = sys.argv[1:]
    enter(orders, Path.cwd())
    Image.MAX_IMAGE_PIXELS = None  # the header is judged here, with its figures
    with open(int(descriptor), "rb") as file:
        print(make(file, name, int(width), float(opacity)), end="")


def make(file: BinaryIO, name: str, width: int, opacity: float) -> str:
    """Write the picture as a PNG of that width; returns what is wrong with it, or nothing."""
    if file.seek(0, 2) > _BYTES:
        return f"the watermark has more than {_BYTES} bytes, which is the limit"
    file.seek(0)
    try:
        with Image.open(file, formats=_FORMATS) as opened:
            if opened.width * opened.height > _PIXELS:
                return f"the watermark has {opened.width} × {opened.height} pixels; allowed are {_PIXELS}"
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
        size = width, max(1, round(picture.height * width / picture.width))
        if size[0] * size[1] > _PIXELS:
            return f"the watermark would have {size[0]} × {size[1]} pixels on the film; allowed are {_PIXELS}"
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    except _BROKEN:
        return "the watermark is no picture that can be read: allowed are PNG, JPEG, WebP and GIF"
    except MemoryError:
        return "the watermark takes more memory than an ffmpeg may have"
    if opacity < 1:
        picture.putalpha(picture.getchannel("A").point(lambda value: round(value * opacity)))
    picture.save(name, "PNG", compress_level=1)
    return ""


if __name__ == "__main__":
    main()
