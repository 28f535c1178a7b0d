"""TIFFs written byte by byte: any depth, sign, float, plane, tile, predictor and byte order."""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CODES = {
    (8, 1): "B",
    (16, 1): "H",
    (32, 1): "I",
    (64, 1): "Q",
    (16, 2): "h",
    (32, 2): "i",
    (16, 3): "e",
    (32, 3): "f",
    (64, 3): "d",
}
Pixel = tuple[float, ...]


@dataclass(frozen=True)
class Numbers:
    """How a TIFF stores its pixels."""

    bits: int
    format: int = 1
    photometric: int = 1
    extra: tuple[int, ...] = ()
    order: str = "<"
    planar: bool = False
    tile: int = 0
    deflated: bool = False
    predictor: int = 1
    rows_per_strip: int = 3


def tiff(how: Numbers, size: tuple[int, int], pixel: Callable[[int, int], Pixel]) -> bytes:
    """Return a TIFF with these samples at each x, y."""
    samples = len(pixel(0, 0))
    planes = [[index] for index in range(samples)] if how.planar else [list(range(samples))]
    parts = [_part(how, box, plane, pixel, size) for plane in planes for box in _boxes(how, size)]
    if how.deflated:
        parts = [zlib.compress(part) for part in parts]
    tags: dict[int, tuple[int, ...]] = {
        256: (size[0],), 257: (size[1],), 258: (how.bits,) * samples, 259: (8 if how.deflated else 1,),
        262: (how.photometric,), 277: (samples,), 284: (2 if how.planar else 1,), 317: (how.predictor,),
        339: (how.format,) * samples,
    }  # fmt: skip
    if how.extra:
        tags[338] = how.extra
    starts = [8 + sum(len(part) for part in parts[:at]) for at in range(len(parts))]
    sizes = tuple(len(part) for part in parts)
    if how.tile:
        tags |= {322: (how.tile,), 323: (how.tile,), 324: tuple(starts), 325: sizes}
    else:
        tags |= {278: (how.rows_per_strip,), 273: tuple(starts), 279: sizes}
    return _file(how.order, b"".join(parts), tags)


def _boxes(how: Numbers, size: tuple[int, int]) -> Sequence[tuple[int, int, int, int]]:
    if how.tile:
        step = how.tile
        return [(x, y, x + step, y + step) for y in range(0, size[1], step) for x in range(0, size[0], step)]
    return [(0, y, size[0], min(size[1], y + how.rows_per_strip)) for y in range(0, size[1], how.rows_per_strip)]


def _part(
    how: Numbers,
    box: tuple[int, int, int, int],
    plane: Sequence[int],
    pixel: Callable[[int, int], Pixel],
    size: tuple[int, int],
) -> bytes:
    rows = []
    for y in range(box[1], box[3]):
        inside = [pixel(min(x, size[0] - 1), min(y, size[1] - 1)) for x in range(box[0], box[2])]
        rows.append(_row([samples[index] for samples in inside for index in plane], how, len(plane)))
    return b"".join(rows)


def _row(values: Sequence[float], how: Numbers, samples: int) -> bytes:
    code = CODES[how.bits, how.format]
    if how.predictor == 2:
        top = 1 << how.bits
        whole = [int(value) for value in values]
        values = [(value - (whole[at - samples] if at >= samples else 0)) % top for at, value in enumerate(whole)]
    if how.predictor == 3:
        data = struct.pack(f">{len(values)}{code}", *values)
        step = how.bits // 8
        ordered = b"".join(data[byte::step] for byte in range(step))
        return bytes(
            (value - (ordered[at - samples] if at >= samples else 0)) % 256 for at, value in enumerate(ordered)
        )
    return struct.pack(
        f"{how.order}{len(values)}{code}", *[value if how.format == 3 else int(value) for value in values]
    )


def _file(order: str, data: bytes, tags: dict[int, tuple[int, ...]]) -> bytes:
    data += bytes(len(data) % 2)
    at = 8 + len(data)
    behind = at + 2 + 12 * len(tags) + 4
    directory, lists = struct.pack(order + "H", len(tags)), b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        directory += struct.pack(order + "HHI", tag, 4, len(values))
        directory += packed if len(values) == 1 else struct.pack(order + "I", behind + len(lists))
        lists += packed if len(values) > 1 else b""
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at) + data + directory + bytes(4) + lists
