"""Writes a finished image or animation in one of the output formats, with the format's options and limits."""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from PIL import Image

from dtqs.errors import PermanentError
from dtqs.processors.image import jpeg, webp
from dtqs.processors.image.animation import LONGEST_MILLISECONDS, AnimatedImage, stored
from dtqs.processors.image.broken import BROKEN
from dtqs.processors.image.colour import flatten, has_transparency, without_hidden_colours
from dtqs.processors.image.composed import Composed
from dtqs.processors.image.gif import GifFile
from dtqs.processors.image.metadata import Metadata, fitting
from dtqs.processors.image.palette import MOST_COLOURS, with_hole, with_palette
from dtqs.processors.image.payload import ImageOutput
from dtqs.processors.image.png import open_png

_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 82, "optimize": True},
    "png": {},
    "webp": {"quality": 80, "method": 4},
    "gif": {},
    "tiff": {"compression": "tiff_adobe_deflate"},
    # one thread: there is one worker per core already
    "avif": {"quality": 65, "speed": 7, "max_threads": 1},
}
_WITH_METADATA = {"tiff": {"compression": "raw"}}
"""Pillow's compressing TIFF writer cannot write EXIF."""
_LONGEST_SIDE = {"jpeg": 65500, "webp": 16383, "avif": 65535, "gif": 65535}
_OPAQUE = frozenset({"jpeg"})
_WITH_PALETTE = frozenset({"png", "gif"})
_WITH_INKS = frozenset({"jpeg", "tiff"})
_FEW_COLOURS, _FEW_GREYS = 256, 32
_LOWEST_QUALITY = 1
_SHORTEST_CUT_MILLISECONDS = 20
_LOSSLESS_WEBP_EFFORT = 60
Options = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """The images to write: one, or the frames of an animation with their milliseconds; 0 loops means endless.

    Of an animation too large to hold, only the first frame is here, and `make` makes each frame.
    """

    frames: Sequence[Image.Image]
    milliseconds: Sequence[float] = ()
    loops: int = 1
    make: Callable[[int], Image.Image] | None = None

    @property
    def count(self) -> int:
        return len(self.milliseconds) if self.make else len(self.frames)

    @property
    def transparent(self) -> bool:
        """Whether any pixel is transparent, or may be in frames not made yet."""
        if self.make:
            return self.frames[0].mode in ("LA", "RGBA")
        return any(has_transparency(frame) for frame in self.frames)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file and its content. Writers merge equal frames, and a still image has no duration."""

    data: bytes
    media_type: str
    frames: int = 1
    milliseconds: int = 0


def encode(finished: Finished, output: ImageOutput, metadata: Metadata, profile: bytes | None = None) -> Encoded:
    """Return the encoded file. It is made in memory, so that an encoder's error differs from a full disk's."""
    formats = (output.format,) if output.format != "auto" else _by_content(finished)
    for format in formats[:-1]:
        data = _written(finished, format, output, metadata, profile)
        if output.max_bytes is None or len(data) <= output.max_bytes:
            return _encoded(data, format, finished)
    return _encoded(_written(finished, formats[-1], output, metadata, profile, fit=True), formats[-1], finished)


def _encoded(data: bytes, format: str, finished: Finished) -> Encoded:
    times: Sequence[float] = ()
    if finished.count > 1:
        times = _TIMES[format](data) if format in _TIMES else stored(finished.milliseconds, format)
    return Encoded(data, f"image/{format}", max(1, len(times)), round(sum(times)))


def _gif_times(data: bytes) -> list[float]:
    return [piece.milliseconds for piece in GifFile(io.BytesIO(data)).pieces]


def _png_times(data: bytes) -> list[float]:
    image = open_png(io.BytesIO(data))
    return [piece.milliseconds for piece in image.pieces] if isinstance(image, Composed) else []


_TIMES: dict[str, Callable[[bytes], Sequence[float]]] = {"gif": _gif_times, "png": _png_times, "webp": webp.times}


def check_side(output: ImageOutput, size: tuple[int, int]) -> None:
    """Raise PermanentError if the format cannot hold an image of this size."""
    limit = _LONGEST_SIDE.get(output.format)
    if limit and max(size) > limit:
        raise PermanentError(
            f"output {output.name} has {size[0]} × {size[1]} pixels; {output.format} allows at most {limit} each way"
        )


def _by_content(finished: Finished) -> tuple[str, ...]:
    """Choose formats that show the image well in few bytes, and that all browsers read.

    The second is a fallback if the file of the first is too large.
    """
    picture = finished.frames[0]
    if finished.count > 1:
        return ("webp",)
    transparent = has_transparency(picture)
    lossy = "jpeg" if not transparent else "webp" if max(picture.size) <= _LONGEST_SIDE["webp"] else "png"
    grey = picture.mode in ("L", "LA")
    few = picture.getcolors(_FEW_GREYS if grey else _FEW_COLOURS) is not None
    return ("png", lossy) if few else (lossy,)


def _written(
    finished: Finished, format: str, output: ImageOutput, metadata: Metadata, profile: bytes | None, fit: bool = False
) -> bytes:
    frames = _frames(finished, output, format)
    options = _options(format, output, profile) | _timing(format, finished, frames)
    write = _fitting if fit and output.max_bytes else _saved_for
    if kept := fitting(metadata, format):
        # if a tag passes the reader but not the writer, only the metadata is lost, not the image
        with suppress(*BROKEN):
            return write(frames, format, output, options | kept | _WITH_METADATA.get(format, {}))
    return write(frames, format, output, options)


def _frames(finished: Finished, output: ImageOutput, format: str) -> list[Image.Image]:
    """Return the frames for the writer. If one has alpha, all get it."""
    alpha = finished.count > 1 and finished.transparent
    if not finished.make:
        frames = [_prepared(frame, output, format, alpha) for frame in _alike(finished.frames)]
        # the first frame's transparent colour must not be the animation's: the writer would cut off black edges
        return [AnimatedImage(len(frames), frames.__getitem__)] if alpha and format == "gif" else frames
    make, mode = finished.make, "RGBA" if finished.transparent else "RGB"
    return [AnimatedImage(finished.count, lambda number: _prepared(make(number).convert(mode), output, format, alpha))]


def _alike(frames: Sequence[Image.Image]) -> Sequence[Image.Image]:
    """Convert the frames of one animation to a common mode."""
    if len({frame.mode for frame in frames}) < 2:
        return frames
    mode = "RGBA" if any(frame.mode in ("LA", "RGBA") for frame in frames) else "RGB"
    return [frame.convert(mode) for frame in frames]


def _options(format: str, output: ImageOutput, profile: bytes | None) -> Options:
    options = dict(_OPTIONS[format])
    if output.quality is not None and "quality" in options:
        options["quality"] = output.quality
    if format == "jpeg":
        options |= {"progressive": output.progressive, "subsampling": output.subsampling or "4:2:0"}
    if format == "avif" and output.subsampling:
        options["subsampling"] = output.subsampling
    if format == "webp" and output.lossless:
        options |= {"lossless": True, "quality": _LOSSLESS_WEBP_EFFORT}
    if format == "png" and output.colors:
        options["optimize"] = True
    if profile and format != "gif":
        options["icc_profile"] = profile
    return options


def _timing(format: str, finished: Finished, frames: Sequence[Image.Image]) -> Options:
    if finished.count < 2:
        return {}
    options: Options = {
        "save_all": True,
        "append_images": frames[1:],
        "duration": stored(finished.milliseconds, format),
    }
    if format == "gif":
        # a GIF counts the repetitions after the first loop, and has no count for a single loop
        again = {} if finished.loops == 1 else {"loop": max(0, finished.loops - 1)}
        # pixels of one frame must not show through the holes of the next
        return options | again | ({"disposal": 2, "optimize": False} if finished.transparent else {"disposal": 1})
    return options if format == "avif" else options | {"loop": finished.loops}


def _fitting(frames: Sequence[Image.Image], format: str, output: ImageOutput, options: Options) -> bytes:
    """Write with the highest quality, up to the wanted one, that keeps the file within its limit."""
    limit, data = output.max_bytes or 0, _saved(frames, format, options)
    if len(data) <= limit:
        return data
    if "quality" not in options or "lossless" in options:
        raise PermanentError(
            f"output {output.name} has {len(data)} bytes as {format}, which is lossless; "
            f"allowed are {limit} (max_bytes)"
        )
    best, low, high = b"", _LOWEST_QUALITY, options["quality"] - 1
    while low <= high:
        quality = (low + high) // 2
        data = _saved(frames, format, options | {"quality": quality})
        if len(data) <= limit:
            best, low = data, quality + 1
        else:
            high = quality - 1
    if not best:
        raise PermanentError(
            f"output {output.name} has {len(data)} bytes even with the lowest quality; "
            f"allowed are {limit} (max_bytes): make it smaller"
        )
    return best


def _saved_for(frames: Sequence[Image.Image], format: str, output: ImageOutput, options: Options) -> bytes:
    return _saved(frames, format, options)


def _saved(frames: Sequence[Image.Image], format: str, options: Options) -> bytes:
    buffer = _buffered(frames[0], format, options)
    if (
        format == "webp"
        and "save_all" in options
        and any(isinstance(frame, AnimatedImage) or has_transparency(frame) for frame in frames)
    ):
        # the writer sets the alpha flag by the frames alone, but they need not cover the canvas
        return webp.with_alpha(buffer.getvalue()) if frames[0].mode in ("LA", "RGBA") else buffer.getvalue()
    if format == "gif" and isinstance(frames[0], AnimatedImage) and len(_gif_times(buffer.getvalue())) == 1:
        return _still_gif(frames[0], options)
    return buffer.getvalue()


def _still_gif(animation: AnimatedImage, options: Options) -> bytes:
    """Write the only image of an animation whose frames are equal: its writer loses the transparent colour."""
    animation.seek(0)
    buffer = io.BytesIO()
    animation.copy().save(buffer, "gif", duration=min(sum(options["duration"]), LONGEST_MILLISECONDS))
    return buffer.getvalue()


def _buffered(first: Image.Image, format: str, options: Options, most: int = LONGEST_MILLISECONDS) -> io.BytesIO:
    """Write the frames. Equal ones become one, and if a GIF cannot hold the sum of their times, these are cut."""
    if format == "jpeg":
        return jpeg.save(first, options)
    buffer, timed = io.BytesIO(), "duration" in options
    times = {"duration": [min(each, most) for each in options["duration"]]} if timed else {}
    try:
        first.save(buffer, format.upper(), **options | times)
    except OverflowError:
        if format != "gif" or not timed or most < _SHORTEST_CUT_MILLISECONDS:
            raise
        return _buffered(first, format, options, most // 2)
    return buffer


def _prepared(picture: Image.Image, output: ImageOutput, format: str, alpha: bool = False) -> Image.Image:
    if picture.mode in ("LA", "RGBA"):
        if not (alpha or has_transparency(picture)):
            picture = picture.convert(picture.mode[:-1])
        elif format in _OPAQUE:
            picture = flatten(picture, output.background or "#ffffff")
        elif format == "gif":
            return with_hole(picture, output.colors or MOST_COLOURS)
        elif format == "avif" or (format == "webp" and not alpha and not output.lossless):
            # frames of a WebP keep theirs: its writer stores all pixels that differ from the frame before
            picture = without_hidden_colours(picture)
    if picture.mode == "CMYK" and format not in _WITH_INKS:
        picture = picture.convert("RGB")
    if not (output.colors and format in _WITH_PALETTE):
        return picture
    made = with_palette(picture, output.colors)
    # an APNG has one palette, and its writer compares only the colours of palettes, not their opacities
    return made.convert("RGBA") if alpha else made
