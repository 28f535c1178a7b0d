"""EXIF and XMP for outputs that keep them: without what was true of the source's pixels only."""

import re

from PIL.ExifTags import Base as Tag
from PIL.ImageFile import ImageFile

from dtqs.processors.image.decode import BROKEN

_SEGMENT_BYTES = 65000
"""A little less than a JPEG can hold of each."""
# a TIFF keeps the layout of its pixels, its profile and its XMP among the same tags
_LAYOUT = (*range(254, 267), *range(273, 285), 317, *range(320, 331), *range(332, 348), *range(512, 533), 700, 34377, 34675)
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation="[0-9]"|<tiff:Orientation>[0-9]</tiff:Orientation>')
Metadata = dict[str, bytes]


def read(image: ImageFile) -> Metadata:
    """Return the `exif` and `xmp` of a loaded picture, as Pillow's writers take them; nothing where it is broken."""
    kept = {"exif": _exif(image), "xmp": _xmp(image)}
    return {name: value for name, value in kept.items() if value}


def fitting(metadata: Metadata, format: str) -> Metadata:
    """Return what a format can hold of it. The writers of PNG and TIFF leave XMP out by themselves."""
    if format == "gif":
        return {}
    return {name: value for name, value in metadata.items() if format != "jpeg" or len(value) <= _SEGMENT_BYTES}


def _exif(image: ImageFile) -> bytes:
    try:
        exif = image.getexif()
        for tag in (Tag.Orientation, *_LAYOUT):
            exif.pop(tag, None)
        return exif.tobytes() if len(exif) else b""
    except BROKEN:
        return b""


def _xmp(image: ImageFile) -> bytes:
    xmp = image.info.get("xmp", b"")
    return _XMP_ORIENTATION.sub(b"", xmp) if isinstance(xmp, bytes) else b""
