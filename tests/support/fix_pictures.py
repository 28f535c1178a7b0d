"""GIFs, PNGs and APNGs made byte by byte, for variants that Pillow does not write."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

GIF_COLOURS = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class GifPart:
    """A box in one of the four colours."""

    left: int
    top: int
    width: int
    height: int
    colour: int
    dispose: int = 1
    transparent: int | None = None
    hundredths: int = 20


def gif(size: tuple[int, int], parts: Sequence[GifPart], loop: int | None = 0) -> bytes:
    data = b"GIF89a" + struct.pack("<HH", *size) + b"\xf1\0\0" + b"".join(bytes(colour) for colour in GIF_COLOURS)
    if loop is not None:
        data += b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", loop) + b"\0"
    for part in parts:
        flags = part.dispose << 2 | (part.transparent is not None)
        data += (
            b"\x21\xf9\x04" + bytes((flags,)) + struct.pack("<H", part.hundredths) + bytes((part.transparent or 0, 0))
        )
        data += b"\x2c" + struct.pack("<HHHH", part.left, part.top, part.width, part.height) + b"\0"
        data += _pixels([part.colour] * (part.width * part.height))
    return data + b";"


def _pixels(indices: Sequence[int]) -> bytes:
    """Encode LZW without compression: clear the table before the codes get longer."""
    bits = length = 0
    packed = bytearray()
    codes = [4]
    for number, index in enumerate(indices):
        codes += [index, 4] if number % 2 else [index]
    for code in [*codes, 5]:
        bits |= code << length
        length += 3
        while length >= 8:
            packed.append(bits & 255)
            bits, length = bits >> 8, length - 8
    if length:
        packed.append(bits)
    blocks = [bytes(packed[at : at + 255]) for at in range(0, len(packed), 255)]
    return b"\x02" + b"".join(bytes((len(block),)) + block for block in blocks) + b"\0"


def chunk(kind: bytes, data: bytes, wrong: int = 0) -> bytes:
    """Return a chunk of a PNG; `wrong` changes its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ wrong)


def header(size: tuple[int, int], depth: int, colour: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0))


def pixels(row: bytes, rows: int) -> bytes:
    return zlib.compress((b"\0" + row) * rows)


def png(size: tuple[int, int], depth: int, colour: int, row: bytes, *chunks: bytes) -> bytes:
    """Return a PNG of equal rows, with chunks before them."""
    body = b"".join(chunks) + chunk(b"IDAT", pixels(row, size[1])) + chunk(b"IEND", b"")
    return PNG_MAGIC + header(size, depth, colour) + body


@dataclass(frozen=True)
class ApngPart:
    """A box of one colour."""

    left: int
    top: int
    width: int
    height: int
    colour: bytes
    dispose: int = 0
    over: bool = False
    milliseconds: int = 100


def apng(size: tuple[int, int], colour: int, parts: Sequence[ApngPart], still: bytes | None = None) -> bytes:
    """Return an APNG; `still` is the pixel of a first image that does not belong to the animation."""
    data = PNG_MAGIC + header(size, 8, colour) + chunk(b"acTL", struct.pack(">II", len(parts), 0))
    number = 0
    if still is not None:
        data += chunk(b"IDAT", pixels(still * size[0], size[1]))
    for index, part in enumerate(parts):
        place = part.width, part.height, part.left, part.top
        data += chunk(
            b"fcTL", struct.pack(">IIIIIHHBB", number, *place, part.milliseconds, 1000, part.dispose, part.over)
        )
        number += 1
        packed = pixels(part.colour * part.width, part.height)
        if index == 0 and still is None:
            data += chunk(b"IDAT", packed)
        else:
            data += chunk(b"fdAT", struct.pack(">I", number) + packed)
            number += 1
    return data + chunk(b"IEND", b"")
