"""Writes a JPEG of any size with Pillow, which guesses the size before it writes."""

import io
from typing import Any

from PIL import Image, ImageFile

_MOST_BYTES = 1.5
"""Bytes of one pixel and one band at most. White noise with the best quality needs 1.2."""
_BLOCK = 16
_METADATA = ("exif", "icc_profile", "xmp")


def save(picture: Image.Image, options: dict[str, Any]) -> io.BytesIO:
    """Write the image. Pillow gives it a buffer of a byte or two for each pixel, and fails if that is too small."""
    buffer = io.BytesIO()
    try:
        picture.save(buffer, "JPEG", **options)
    except OSError:
        buffer, before = io.BytesIO(), ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = max(before, _room(picture, options))
        try:
            picture.save(buffer, "JPEG", **options)
        finally:
            ImageFile.MAXBLOCK = before
    return buffer


def _room(picture: Image.Image, options: dict[str, Any]) -> int:
    """Return a number of bytes that no JPEG of this image exceeds."""
    width, height = (side + _BLOCK for side in picture.size)
    metadata = sum(len(options.get(name) or b"") for name in _METADATA)
    return int(width * height * len(picture.getbands()) * _MOST_BYTES) + 2 * metadata + 65536
