"""Turns the numbers of a TIFF into 8-bit pixels. Imported with the first TIFF that needs it, as NumPy is large.

libtiff decompresses: it gets the same bytes declared as a TIFF of 8-bit grey, and returns them unchanged.
"""

import io
import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from dtqs.processors.image.colour import srgb
from dtqs.processors.image.tiff import FLOAT, INKS, LAB, SIGNED, WHITE_IS_ZERO, Layout

Array = NDArray[Any]
_LONG, _SHORT = 4, 3
_ROWS_PER_STRIP, _STRIPS, _STRIP_BYTES = 278, 273, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_COMPRESSION, _FILL, _PREDICTOR = 259, 266, 317
_DIFFERENCES, _FLOAT_DIFFERENCES = 2, 3
_ROWS_AT_ONCE = 128
_USUAL = (255, 65535, 2**32 - 1)
_PLAIN_FLOAT, _SMALL_FLOAT = 1.0, 16.0
"""Floats up to 1 are fractions of white. Floats up to 255 are 8-bit values, unless all would then be nearly black."""


def picture(
    file: IO[bytes], tags: ImageFileDirectory_v2, layout: Layout, profile: bytes | None
) -> tuple[Image.Image, bool]:
    """Return the pixels, not yet turned upright, and whether the profile is already applied to them."""
    data = _with_room(file)
    numbers = _numbers(data, tags, layout)
    colours = numbers[:, :, : layout.colours]
    pixels = _lab(colours) if layout.photometric == LAB else _eight_bits(colours, layout)
    if layout.photometric == WHITE_IS_ZERO:
        pixels = 255 - pixels
    made = _image({1: "L", 3: "LAB" if layout.photometric == LAB else "RGB", 4: "CMYK"}[layout.colours], pixels)
    used = layout.photometric in (LAB, INKS) and layout.alpha is not None
    if used:
        made = srgb(made, profile)[0]
    if layout.alpha is None:
        return made, used
    opacity = _image("L", _eight_bits(numbers[:, :, layout.alpha : layout.alpha + 1], layout, opacity=True))
    made.putalpha(opacity)
    if layout.weighted:
        mode = "RGBa" if made.mode == "RGBA" else "La"
        made = Image.frombytes(mode, made.size, made.tobytes()).convert(made.mode)
    return made, used


def _numbers(data: io.BytesIO, tags: ImageFileDirectory_v2, layout: Layout) -> Array:
    """Return the numbers as an array of rows, columns and samples."""
    parts = tags[_TILES] if _TILES in tags else tags[_STRIPS]
    if not layout.planes:
        return _decoded(data, tags, layout, layout.samples, slice(None))
    count = len(parts) // layout.samples
    if count * layout.samples != len(parts):
        raise ValueError("the planes differ in size")
    planes = [_decoded(data, tags, layout, 1, slice(at * count, (at + 1) * count)) for at in range(layout.samples)]
    return np.concatenate(planes, axis=2)


def _decoded(data: io.BytesIO, tags: ImageFileDirectory_v2, layout: Layout, samples: int, parts: slice) -> Array:
    size = layout.bits // 8
    packed = _bytes(data, tags, layout, samples * size, parts)
    order = ">" if tags._endian == ">" else "<"
    kind = {FLOAT: "f", SIGNED: "i"}.get(layout.format, "u")
    tile = tags[_TILE_WIDTH] if _TILES in tags else layout.width
    predictor = tags.get(_PREDICTOR, 1) if tags.get(_COMPRESSION, 1) != 1 else 1
    blocks = []
    for left in range(0, packed.shape[1] // (samples * size), tile):
        block = packed[:, left * samples * size : (left + tile) * samples * size]
        if predictor == _FLOAT_DIFFERENCES and kind == "f":
            blocks.append(_summed_floats(block, samples, size))
            continue
        numbers = np.ascontiguousarray(block).view(f"{order}{kind}{size}").reshape(layout.height, -1, samples)
        if predictor == _DIFFERENCES and kind != "f":
            numbers = np.cumsum(numbers, axis=1, dtype=f"{kind}{size}")
        blocks.append(numbers)
    return (blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1))[:, : layout.width]


def _summed_floats(block: Array, samples: int, size: int) -> Array:
    """Undo the predictor of floats: differences of bytes, with the most significant bytes of a row first."""
    rows = block.shape[0]
    summed = np.cumsum(block.reshape(rows, -1, samples), axis=1, dtype=np.uint8)
    ordered = np.ascontiguousarray(summed.reshape(rows, size, -1).transpose(0, 2, 1))
    return ordered.view(f">f{size}").reshape(rows, -1, samples)


def _bytes(data: io.BytesIO, tags: ImageFileDirectory_v2, layout: Layout, pixel_bytes: int, parts: slice) -> Array:
    """Decompress into rows of bytes, described by a new directory after the file's end; the header points to it."""
    tile = tags[_TILE_WIDTH] if _TILES in tags else layout.width
    width = -(-layout.width // tile) * tile * pixel_bytes  # including the padding of a row's last tile
    entries = {256: width, 257: layout.height, 258: 8, _COMPRESSION: tags.get(_COMPRESSION, 1), 262: 1, 277: 1}
    entries |= {_FILL: tags.get(_FILL, 1), _PREDICTOR: 1}
    if _TILES in tags:
        entries |= {_TILE_WIDTH: tile * pixel_bytes, _TILE_HEIGHT: tags[_TILE_HEIGHT]}
        lists = {_TILES: tags[_TILES][parts], _TILE_BYTES: tags[_TILE_BYTES][parts]}
    else:
        entries[_ROWS_PER_STRIP] = min(layout.height, tags.get(_ROWS_PER_STRIP, layout.height))
        lists = {_STRIPS: tags[_STRIPS][parts], _STRIP_BYTES: tags[_STRIP_BYTES][parts]}
    end, limit = len(data.getvalue()), Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None  # Pillow counts bytes here; pixels and memory have their own limits
        directory = _directory(end, {tag: (value,) for tag, value in entries.items()} | lists)
        data.seek(0)
        data.write(b"II*\0" + struct.pack("<I", end))
        data.seek(end)
        data.write(directory)
        data.seek(0)
        grey = TiffImageFile(data)
        grey.load()
        return np.frombuffer(grey.tobytes(), np.uint8).reshape(layout.height, width)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
        data.truncate(end)


def _directory(at: int, entries: dict[int, tuple[int, ...]]) -> bytes:
    """Return a directory of 32-bit numbers for a place in a file, followed by its lists."""
    behind = at + 2 + 12 * len(entries) + 4
    head, body = struct.pack("<H", len(entries)), b""
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        head += struct.pack("<HHI", tag, _LONG, len(values))
        head += packed if len(values) == 1 else struct.pack("<I", behind + len(body))
        body += b"" if len(values) == 1 else packed
    return head + bytes(4) + body


def _with_room(file: IO[bytes]) -> io.BytesIO:
    """Return the file in memory, padded to an even number of bytes."""
    file.seek(0)
    data = io.BytesIO(file.read())
    if data.seek(0, io.SEEK_END) % 2:
        data.write(b"\0")
    return data


def _eight_bits(numbers: Array, layout: Layout, opacity: bool = False) -> NDArray[np.uint8]:
    low, high = _extremes(numbers)
    if layout.format == FLOAT:
        black, white = (0.0, 1.0) if opacity and high <= 1 else _float_range(low, high)
    else:
        black, white = _whole_range(low, high, layout)
    made = np.empty(numbers.shape, np.uint8)
    for top in range(0, len(numbers), _ROWS_AT_ONCE):
        rows: Array = np.nan_to_num(
            numbers[top : top + _ROWS_AT_ONCE].astype(np.float64), nan=low, posinf=high, neginf=low
        )
        scaled = (rows - black) * (255.0 / (white - black if white > black else 1.0))
        made[top : top + _ROWS_AT_ONCE] = np.clip(np.rint(scaled), 0, 255)
    return made


def _extremes(numbers: Array) -> tuple[float, float]:
    """Return the smallest and the largest finite number."""
    found: list[float] = []
    for top in range(0, len(numbers), _ROWS_AT_ONCE):
        rows = numbers[top : top + _ROWS_AT_ONCE]
        finite = rows[np.isfinite(rows)]
        found += [float(finite.min()), float(finite.max())] if finite.size else []
    if not found:
        raise ValueError("pixels without a finite value")
    return min(found), max(found)


def _float_range(low: float, high: float) -> tuple[float, float]:
    if low >= 0 and high <= _PLAIN_FLOAT:
        return 0.0, 1.0
    return (0.0, 255.0) if low >= 0 and _SMALL_FLOAT < high <= 255 else (min(low, 0.0), high)


def _whole_range(low: float, high: float, layout: Layout) -> tuple[float, float]:
    """Return black and white: the full range of the bits, or the next smaller usual range that fits all values."""
    if layout.format == SIGNED:
        return (0.0, next((float(top) for top in _USUAL if high <= top), high)) if low >= 0 else (low, high)
    top = 2.0**layout.bits - 1
    return 0.0, top if layout.bits <= 16 else next((float(usual) for usual in _USUAL if high <= usual), top)


def _lab(numbers: Array) -> NDArray[np.uint8]:
    """Return the upper bytes. Pillow's unpacker handles the sign of two of the three."""
    return (numbers.astype(np.int64) >> (8 * (numbers.dtype.itemsize - 1)) & 255).astype(np.uint8)


def _image(mode: str, pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), np.ascontiguousarray(pixels).tobytes())
