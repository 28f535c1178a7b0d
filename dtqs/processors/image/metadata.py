"""EXIF and XMP for outputs that keep them, without the tags that describe only the source's pixels."""

import re

from PIL import Image
from PIL.ExifTags import IFD
from PIL.ExifTags import Base as Tag
from PIL.ImageFile import ImageFile

from dtqs.processors.image.broken import BROKEN

_SEGMENT_BYTES = 65000
"""Slightly below the limit of one JPEG segment."""
# a TIFF has its pixel layout, its profile and its XMP among the same tags
_LAYOUT = {
    *range(254, 267),
    *range(273, 285),
    317,
    *range(320, 331),
    *range(332, 348),
    *range(512, 533),
    700,
    34377,
    34675,
}
_PARTS = (IFD.Exif, IFD.GPSInfo)
_POINTERS = {int(part) for part in IFD}  # offsets into the source's file
_DROPPED = _LAYOUT | _POINTERS | {int(Tag.Orientation)}
_STATED_SIZE = {int(Tag.ExifImageWidth), int(Tag.ExifImageHeight)}
_SRGB = 1
_XMP_ORIENTATION = re.compile(
    rb"tiff:Orientation\s*=\s*(?:\"\s*[0-9]\s*\"|'\s*[0-9]\s*')|<tiff:Orientation>\s*[0-9]\s*</tiff:Orientation>"
)
Metadata = dict[str, bytes]


def read(image: ImageFile, keeps_profile: bool) -> Metadata:
    """Return `exif` and `xmp` of a loaded image, in the form of Pillow's writers; broken ones are left out.

    `keeps_profile`: the output keeps the colours of the source. Otherwise it has those of sRGB.
    """
    kept = {"exif": _exif(image, keeps_profile), "xmp": _xmp(image)}
    return {name: value for name, value in kept.items() if value}


def fitting(metadata: Metadata, format: str) -> Metadata:
    """Return the metadata that a format can hold. The writers of PNG and TIFF skip XMP by themselves."""
    if format == "gif":
        return {}
    return {name: value for name, value in metadata.items() if format != "jpeg" or len(value) <= _SEGMENT_BYTES}


def _exif(image: ImageFile, keeps_profile: bool) -> bytes:
    """Return the source's tags rewritten: the formats do not share every layout of their bytes (BigTIFF's, for one)."""
    try:
        exif, kept = image.getexif(), Image.Exif()
        for tag in exif.keys() - _DROPPED:
            kept[tag] = exif[tag]
        for part in _PARTS:
            tags = {tag: value for tag, value in exif.get_ifd(part).items() if tag not in _POINTERS | _STATED_SIZE}
            if Tag.ColorSpace in tags and not keeps_profile:
                tags[Tag.ColorSpace] = _SRGB
            kept.get_ifd(part).update(tags)
        return kept.tobytes() if len(kept) or any(kept.get_ifd(part) for part in _PARTS) else b""
    except BROKEN:
        return b""


def _xmp(image: ImageFile) -> bytes:
    xmp = image.info.get("xmp", b"")
    return _XMP_ORIENTATION.sub(b"", xmp) if isinstance(xmp, bytes) else b""
