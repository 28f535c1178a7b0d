"""Make a watermark from an image that may be hostile, in a process of its own.

This is a program, run by its path so that it loads little. Its arguments: the jail's orders, a file descriptor, a
name, the most width and height, an opacity. It prints the fault of the image, or nothing.
"""

import os
import sys
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from dtqs.errors import PermanentError, TransientError
from dtqs.jail import enter
from dtqs.kinds import description
from dtqs.processors.image.colour import srgb
from dtqs.processors.image.decode import decoding, opened
from dtqs.processors.image.resize import Decoded, upright_size
from dtqs.sniff import HEAD_BYTES, sniff

_TYPES, _ALLOWED = ("image/png", "image/jpeg", "image/webp", "image/gif"), "allowed are PNG, JPEG, WebP and GIF"
_BYTES, _PIXELS = 50 << 20, 40_000_000


def main() -> None:
    orders, descriptor, name, width, height, opacity = sys.argv[1:]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy, which HDR images need, would reserve memory for each core
    enter(orders, Path.cwd())
    with open(int(descriptor), "rb") as file:
        try:
            print(make(file, name, (int(width), int(height)), float(opacity)), end="")
        except TransientError as error:
            print(error, file=sys.stderr)
            sys.exit(os.EX_TEMPFAIL)


def make(file: BinaryIO, name: str, most: tuple[int, int], opacity: float) -> str:
    """Write the image as a PNG that fits into this width and height; return its fault, or an empty string.

    Raises TransientError if the disk fails.
    """
    if file.seek(0, os.SEEK_END) > _BYTES:
        return f"the watermark has more than {_BYTES} bytes, the limit"
    file.seek(0)
    media_type = sniff(file.read(HEAD_BYTES))
    file.seek(0)
    if media_type not in _TYPES:
        return f"the watermark cannot be read as an image: it is {description(media_type)}; {_ALLOWED}"
    try:
        picture = _read(file, media_type, most)
    except PermanentError as error:
        return f"the watermark cannot be read as an image: {error}"
    except MemoryError:
        return "the watermark needs more memory than the limit max_memory_bytes"
    if opacity < 1:
        picture.putalpha(picture.getchannel("A").point(lambda value: round(value * opacity)))
    picture.save(name, "PNG", compress_level=1)
    return ""


def _read(file: BinaryIO, media_type: str, most: tuple[int, int]) -> Image.Image:
    with opened(file, media_type, _PIXELS) as image, decoding(image.format or ""):
        width, height = upright_size(image)
        scale = min(most[0] / width, most[1] / height)
        whole, size = (0, 0, width, height), (max(1, round(width * scale)), max(1, round(height * scale)))
        loaded = Decoded(image, {whole: size}).part(whole, size)
        # video has the primaries of sRGB
        return srgb(loaded.picture, loaded.profile)[0].convert("RGBA")


if __name__ == "__main__":
    main()
