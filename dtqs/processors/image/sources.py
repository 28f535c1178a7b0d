"""The allow-list of readers by media type. Pillow's forty other readers had most of its security holes.

Readers for rare types are imported with the first image of the type, because most workers never need their memory.
"""

from collections.abc import Callable
from typing import IO

from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from dtqs.processors.image.avif import AvifFile
from dtqs.processors.image.gif import GifFile
from dtqs.processors.image.png import open_png
from dtqs.processors.image.seldom import seldom
from dtqs.processors.image.tiff import NumbersFile
from dtqs.processors.image.webp import open_webp

ALLOWED = "allowed are JPEG, PNG, WebP, GIF, TIFF, AVIF, HEIC, JPEG XL, BMP and ICO"
FORMAT_NAMES = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
    "image/heic": "HEIC",
    "image/heif": "HEIF",
    "image/jxl": "JPEG XL",
    "image/bmp": "BMP",
    "image/vnd.microsoft.icon": "ICO",
}
"""The readable types, and their names in messages."""
NAMES = {"image/vnd.microsoft.icon": "ico"}
"""Names in the result for types whose media type does not end in the name."""
ANIMATIONS = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
"""Formats whose frames form an animation; the frames of other formats are pages, previews or other views."""
_SELDOM = {
    "image/heic": ("dtqs.processors.image.heic", "HeicFile"),
    "image/heif": ("dtqs.processors.image.heic", "HeicFile"),
    "image/jxl": ("dtqs.processors.image.jxl", "JxlFile"),
    "image/bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "image/vnd.microsoft.icon": ("PIL.IcoImagePlugin", "IcoImageFile"),
}


def open_source(file: IO[bytes], media_type: str) -> ImageFile:
    """Open an image's header with the one reader for its media type. Raises like Pillow's readers."""
    if media_type in _SELDOM:
        module, name = _SELDOM[media_type]
        opener: Callable[[IO[bytes]], ImageFile] = getattr(seldom(module), name)
        return opener(file)
    return _OFTEN[media_type](file)


_OFTEN: dict[str, Callable[[IO[bytes]], ImageFile]] = {
    "image/jpeg": JpegImageFile,
    "image/png": open_png,
    "image/webp": open_webp,
    "image/gif": GifFile,
    "image/tiff": NumbersFile,
    "image/avif": AvifFile,
}
