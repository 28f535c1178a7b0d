"""Which reader opens which sort of picture: the allow-list. Pillow has some forty more readers, in which its holes have been.

Readers for what is seldom sent are imported with the first picture of their sort: most workers never need their memory.
"""

import importlib
from collections.abc import Callable
from typing import IO

from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from dtqs.processors.image.avif import AvifFile
from dtqs.processors.image.gif import GifFile
from dtqs.processors.image.png import open_png
from dtqs.processors.image.tiff import NumbersFile
from dtqs.processors.image.webp import open_webp

ALLOWED = "allowed are JPEG, PNG, WebP, GIF, TIFF, AVIF, HEIC, JPEG XL, BMP and ICO"
WORDS = {
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
"""The sorts that can be read, and how a message calls them."""
NAMES = {"image/vnd.microsoft.icon": "ico"}
"""How the result calls a sort whose media type does not end in its name."""
ANIMATIONS = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
"""Formats whose further frames go on with the first; the frames of others are pages, previews or views from other sides."""
_SELDOM = {
    "image/heic": ("dtqs.processors.image.heic", "HeicFile"),
    "image/heif": ("dtqs.processors.image.heic", "HeicFile"),
    "image/jxl": ("dtqs.processors.image.jxl", "JxlFile"),
    "image/bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "image/vnd.microsoft.icon": ("PIL.IcoImagePlugin", "IcoImageFile"),
}


def open_source(file: IO[bytes], media_type: str) -> ImageFile:
    """Open a picture's header with the one reader for its media type. Raises what Pillow's readers do."""
    if media_type in _SELDOM:
        module, name = _SELDOM[media_type]
        opener: Callable[[IO[bytes]], ImageFile] = getattr(importlib.import_module(module), name)
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
