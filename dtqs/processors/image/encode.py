"""Writes a finished picture in one of the output formats: which options each takes, and what it can hold."""

import io
from contextlib import suppress
from typing import Any

from PIL import Image

from dtqs.errors import PermanentError
from dtqs.processors.image.colour import flatten, has_transparency
from dtqs.processors.image.decode import BROKEN
from dtqs.processors.image.metadata import Metadata, fitting
from dtqs.processors.image.payload import ImageOutput

_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 82, "optimize": True},
    "png": {},
    "webp": {"quality": 80, "method": 4},
    "gif": {},
    "tiff": {"compression": "tiff_adobe_deflate"},
    # one thread: there is a worker per core already
    "avif": {"quality": 65, "speed": 7, "max_threads": 1},
}
_WITH_METADATA = {"tiff": {"compression": "raw"}}
"""The compressing writer of TIFF cannot write EXIF."""
_LONGEST_SIDE = {"jpeg": 65500, "webp": 16383, "avif": 65535, "gif": 65535}
_OPAQUE = frozenset({"jpeg"})


def encode(picture: Image.Image, output: ImageOutput, metadata: Metadata) -> tuple[bytes, str]:
    """Return the file's bytes and its media type. In memory: an encoder's error and a full disk must not look the same."""
    picture, format = _prepared(picture, output)
    kept = fitting(metadata, format)
    options = dict(_OPTIONS[format])
    if output.quality is not None and "quality" in options:
        options["quality"] = output.quality
    if kept:
        with suppress(*BROKEN):  # tags that a reader let pass and a writer cannot write cost the metadata, not the picture
            return _saved(picture, format, options | kept | _WITH_METADATA.get(format, {})), f"image/{format}"
    return _saved(picture, format, options), f"image/{format}"


def check_side(output: ImageOutput, size: tuple[int, int]) -> None:
    """Raise PermanentError where the format cannot hold so large a picture."""
    limit = _LONGEST_SIDE.get(output.format)
    if limit and max(size) > limit:
        raise PermanentError(f"output {output.name} has {size[0]} × {size[1]} pixels; {output.format} allows at most {limit} each way")


def _saved(picture: Image.Image, format: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format.upper(), **options)
    return buffer.getvalue()


def _prepared(picture: Image.Image, output: ImageOutput) -> tuple[Image.Image, str]:
    transparent = has_transparency(picture)
    format = output.format
    if format == "auto":
        format = "png" if transparent and output.background is None else "jpeg"
    if transparent and output.background is None and format not in _OPAQUE:
        return picture, format
    if transparent:
        return flatten(picture, output.background or "#ffffff"), format
    return (picture.convert(picture.mode[:-1]) if picture.mode in ("LA", "RGBA") else picture), format
