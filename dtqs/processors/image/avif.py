"""Opens an AVIF, and reads two properties that Pillow ignores: colours by code points, and the clean aperture."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile

_CONTAINERS = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8, b"av01": 78}
HEAD_BYTES = 1 << 20
"""The container's directory lies in these bytes; Pillow refuses a file without one."""


class AvifFile(AvifImageFile):
    """An AVIF, cropped to its clean aperture."""

    def _open(self) -> None:
        assert self.fp is not None
        start = self.fp.tell()
        found = properties(self.fp.read(HEAD_BYTES))
        self.fp.seek(start)
        self._box: tuple[int, int, int, int] | None = None
        super()._open()
        if code := found.get(b"nclx"):
            self.info["cicp"] = (*(int.from_bytes(code[at : at + 2], "big") for at in (0, 2, 4)), code[6] >> 7)
        self._coded_size = self.size
        self._box = _aperture(found.get(b"clap", b""), self.size)
        if self._box:
            check_coded_size(self._coded_size)
            self._size = self._box[2] - self._box[0], self._box[3] - self._box[1]

    def load(self) -> Any:
        if not self.tile or self._box is None:
            return super().load()
        visible, self._size = self._size, self._coded_size
        self._im = None
        self.tile = [tile._replace(extents=(0, 0, *self._coded_size)) for tile in self.tile]
        super().load()
        self._im, self._size = self.im.crop(self._box), visible
        return Image.Image.load(self)


def check_coded_size(size: tuple[int, int]) -> None:
    """Raise DecompressionBombError for more pixels than allowed: callers see only the size after the crop."""
    if Image.MAX_IMAGE_PIXELS is not None and size[0] * size[1] > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{size[0]} × {size[1]} pixels before the crop")


def properties(data: bytes) -> dict[bytes, bytes]:
    """Return colours, aperture and coded size of the primary image, or else of the track."""
    try:
        for kind, start, end in _boxes(data, 0, len(data)):
            if kind == b"meta":
                return _item_properties(data, start + 4, end)
        for kind, start, end in _boxes(data, 0, len(data)):
            if kind == b"moov":
                return _track_properties(data, start, end)
    except (IndexError, ValueError):
        return {}
    return {}


def _item_properties(data: bytes, start: int, end: int) -> dict[bytes, bytes]:
    inside = {kind: (begin, stop) for kind, begin, stop in _boxes(data, start, end)}
    primary = data[slice(*inside[b"pitm"])] if b"pitm" in inside else b""
    wide = primary[:1] > b"\0"
    item = int.from_bytes(primary[4 : 8 if wide else 6], "big")
    parts = {kind: (begin, stop) for kind, begin, stop in _boxes(data, *inside.get(b"iprp", (0, 0)))}
    known = list(_boxes(data, *parts.get(b"ipco", (0, 0))))
    chosen = [
        known[index - 1]
        for index in _associated(data[slice(*parts.get(b"ipma", (0, 0)))], item)
        if 0 < index <= len(known)
    ]
    return _by_name(data, chosen)


def _associated(data: bytes, item: int) -> Iterator[int]:
    """Yield the numbers, from 1, of an item's properties."""
    if len(data) < 8:
        return
    wide_ids, wide_indices, at = data[0] > 0, data[3] & 1, 8
    for _ in range(int.from_bytes(data[4:8], "big")):
        size = 4 if wide_ids else 2
        owner, count, at = int.from_bytes(data[at : at + size], "big"), data[at + size], at + size + 1
        for _ in range(count):
            step = 2 if wide_indices else 1
            if owner == item:
                yield int.from_bytes(data[at : at + step], "big") & (0x7FFF if wide_indices else 0x7F)
            at += step


def _track_properties(data: bytes, start: int, end: int) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for kind, begin, stop in _boxes(data, start, end):
        if kind in _CONTAINERS:
            found = _track_properties(data, begin + _CONTAINERS[kind], stop) | found
        elif kind in (b"colr", b"clap"):
            found = _by_name(data, [(kind, begin, stop)]) | found
    return found


def _by_name(data: bytes, boxes: list[tuple[bytes, int, int]]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for kind, start, end in boxes:
        if kind == b"colr" and data[start : start + 4] == b"nclx" and end - start >= 11:
            found[b"nclx"] = data[start + 4 : end]
        elif kind == b"clap" and end - start >= 32:
            found[b"clap"] = data[start:end]
        elif kind == b"ispe" and end - start >= 12:
            found[b"ispe"] = data[start + 4 : start + 12]
    return found


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box, and the beginning and end of its content."""
    while start + 8 <= end:
        size, kind, head = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        stop = start + size if size else end
        if stop < start + head:
            return
        yield kind, start + head, min(stop, end)
        start = stop


def _aperture(clap: bytes, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the visible box; None if it is the whole image, or the aperture is not valid."""
    numbers = (
        [int.from_bytes(clap[at : at + 4], "big", signed=at >= 16 and at % 8 == 0) for at in range(0, 32, 4)]
        if clap
        else []
    )
    if not numbers or not all(numbers[1::2]):
        return None
    width, height, across, down = (Fraction(*numbers[at : at + 2]) for at in (0, 2, 4, 6))
    left, top = (size[0] - width) / 2 + across, (size[1] - height) / 2 + down
    box = round(left), round(top), round(left + width), round(top + height)
    inside = 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]
    return box if inside and box != (0, 0, *size) else None
