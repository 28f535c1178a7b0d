"""Opens files of unknown content safely: known decoders only, limits before the first pixel, clear errors."""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image
from PIL.ExifTags import Base as Tag
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from dtqs.errors import PermanentError, TransientError
from dtqs.kinds import description
from dtqs.one_line import one_line
from dtqs.processors.image.broken import BROKEN
from dtqs.processors.image.geometry import Size
from dtqs.processors.image.sources import ALLOWED, ANIMATIONS, FORMAT_NAMES, open_source
from dtqs.processors.image.tiff import CameraRaw
from dtqs.sniff import HEAD_BYTES, sniff

_DISK = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT})


def check_source(file: BinaryIO, max_bytes: int) -> tuple[str, int]:
    """Return the media type and the size in bytes. Raises PermanentError for a non-image or a too large file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size == 0:
        raise PermanentError(f"the file is empty, not an image: {ALLOWED}")
    if size > max_bytes:
        raise PermanentError(f"the file has {size} bytes; allowed are {max_bytes}")
    media_type = sniff(file.read(HEAD_BYTES))
    if media_type not in FORMAT_NAMES:
        raise _refused(media_type)
    file.seek(0)
    return media_type, size


def _refused(media_type: str) -> PermanentError:
    return PermanentError(f"the file is {description(media_type)}, not an image that can be read: {ALLOWED}")


@contextmanager
def opened(file: BinaryIO, media_type: str, max_pixels: int) -> Iterator[ImageFile]:
    """Open the image's header with the one decoder for its type. Read anything further inside `decoding`."""
    format_name = FORMAT_NAMES[media_type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # broken metadata must not prevent a thumbnail
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # the header is checked below, with its figures; Pillow checks the sizes that readers find later
        Image.MAX_IMAGE_PIXELS = max_pixels
        with decoding(format_name):
            image = _header(file, media_type)
        with image:
            _check_pixels(image.size, max_pixels)
            yield image


def _header(file: BinaryIO, media_type: str) -> ImageFile:
    try:
        return open_source(file, media_type)
    except CameraRaw as raw:
        raise _refused(raw.media_type) from raw
    except (SyntaxError, EOFError, LookupError, RuntimeError, ValueError) as error:  # an invalid header
        reason = f": {_short(error)}" if str(error) else ""
        kind = f"{description(media_type)}, but is broken, or of an unsupported variant"
        raise PermanentError(f"the file begins like {kind}{reason}") from error


@contextmanager
def decoding(format_name: str) -> Iterator[None]:
    """Turn a decoder's exceptions into clear errors; `format_name` is the decoder's name."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PermanentError(
            f"the image, or a part of it, has more pixels than the allowed {Image.MAX_IMAGE_PIXELS}"
        ) from error
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise TransientError(f"the file could not be read: {error.strerror}") from error
        raise PermanentError(f"the {format_name} image is broken: {_short(error)}") from error


def count_frames(image: ImageFile) -> int:
    """Return the number of frames or pages; other images have one."""
    counted = getattr(image, "n_frames", 1) if image.format in ANIMATIONS or image.format == "TIFF" else 1
    return counted if isinstance(counted, int) and counted > 0 else 1


def go_to(image: ImageFile, frame: int, max_pixels: int) -> None:
    """Go to a frame or page, counted from 0, which may have another size."""
    if frame != image.tell():
        image.seek(frame)
    _check_pixels(image.size, max_pixels)


def check_frames(frames: int, max_frames: int) -> None:
    """Raise PermanentError if an animation has too many frames."""
    if frames > max_frames:
        raise PermanentError(
            f"the image has {frames} frames; allowed are {max_frames}, or a single one (page, or animated = false)"
        )


def orientation(image: ImageFile) -> int:
    """Return the orientation, 1 to 8, that remains to be applied. Pillow applies a TIFF's when it loads the image."""
    return 1 if image.format == "TIFF" else stated_orientation(image)


def stated_orientation(image: ImageFile) -> int:
    """Return the orientation in the file of an image that is not loaded yet; 1 if it is missing or broken."""
    try:
        tags = image.tag_v2 if isinstance(image, TiffImageFile) else image.getexif()
        value = tags.get(Tag.Orientation, 1)
    except BROKEN:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _check_pixels(size: Size, max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise PermanentError(f"the image has {size[0]} × {size[1]} pixels; allowed are {max_pixels}")


def _short(error: BaseException) -> str:
    return one_line(str(error) or type(error).__name__, 200)
