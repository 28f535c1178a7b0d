"""Reads the colours in the header of a JPEG XL codestream, as code points of CICP (ISO/IEC 18181-1, annex A).

libjxl converts to these colours, but its Python binding does not return them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

_CODESTREAM, _CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL "
_GREY, _XYB = 1, 2
_CUSTOM, _D65, _DCI = 2, 1, 11
_SRGB = (1, 13, 0, 1)
_P3_DCI, _P3_D65 = 11, 12
_ALPHA, _SPOT, _FILTER = 0, 2, 5
_MOST_CHANNELS = 4096


@dataclass(frozen=True, slots=True)
class Header:
    """The colours; None if a profile gives them, or if they have no code point."""

    cicp: tuple[int, int, int, int] | None


class _Bits:
    """Reads bits, the lowest of each byte first. Raises ValueError at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the header is cut off")
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        self._left -= count
        return value

    def flag(self) -> bool:
        return bool(self.take(1))

    def one_of(self, *choices: tuple[int, int]) -> int:
        """Read two bits that select the number of further bits, and the value to add to them."""
        bits, base = choices[self.take(2)]
        return base + self.take(bits)

    def code(self) -> int:
        return self.one_of((0, 0), (0, 1), (4, 2), (6, 18))


def read_header(data: bytes) -> Header:
    """Return the header's colours. Raises ValueError if the header is not valid."""
    bits = _Bits(b"".join(_codestream(data))[:4096])
    if bits.take(16) != int.from_bytes(_CODESTREAM, "little"):
        raise ValueError("it has no codestream")
    _size(bits)
    if bits.flag():  # all defaults
        return Header(_SRGB)
    if bits.flag():
        _extras(bits)
    _depth(bits)
    bits.flag()
    channels = bits.one_of((0, 0), (0, 1), (4, 2), (12, 1))
    for _ in range(min(channels, _MOST_CHANNELS)):
        _channel(bits)
    bits.flag()
    return Header(_colours(bits))


def _codestream(data: bytes) -> Iterator[bytes]:
    """Yield the beginning of the codestream, which may be split over several boxes."""
    if not data.startswith(_CONTAINER):
        yield data[:4096]
        return
    at = 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = at + size if size else len(data)
        if kind in (b"jxlc", b"jxlp"):
            yield data[at + head + (4 if kind == b"jxlp" else 0) : min(end, at + head + 4096)]
        if end <= at or kind == b"jxlc":
            return
        at = end


def _size(bits: _Bits) -> None:
    small = bits.flag()

    def side() -> None:
        if small:
            bits.take(5)
        else:
            bits.one_of((9, 1), (13, 1), (18, 1), (30, 1))

    _sides(bits, side)


def _sides(bits: _Bits, side: Callable[[], None]) -> None:
    """Skip a height and a ratio, or a height and a width."""
    side()
    if not bits.take(3):
        side()


def _extras(bits: _Bits) -> None:
    """Skip the orientation, the intrinsic size, the preview and the animation header."""
    bits.take(3)
    if bits.flag():
        _size(bits)
    if bits.flag():
        eighths = bits.flag()
        choices = ((0, 16), (0, 32), (5, 1), (9, 33)) if eighths else ((6, 1), (8, 65), (10, 321), (12, 1345))
        _sides(bits, lambda: (bits.one_of(*choices), None)[1])
    if bits.flag():
        bits.one_of((0, 100), (0, 1000), (10, 1), (30, 1))
        bits.one_of((0, 1), (0, 1001), (8, 1), (10, 1))
        bits.one_of((0, 0), (3, 0), (16, 0), (32, 0))
        bits.flag()


def _depth(bits: _Bits) -> None:
    if bits.flag():
        bits.one_of((0, 32), (0, 16), (0, 24), (6, 1))
        bits.take(4)
    else:
        bits.one_of((0, 8), (0, 10), (0, 12), (6, 1))


def _channel(bits: _Bits) -> None:
    if bits.flag():
        return
    kind = bits.code()
    _depth(bits)
    bits.one_of((0, 0), (0, 3), (0, 4), (3, 1))
    bits.take(8 * bits.one_of((0, 0), (4, 0), (5, 16), (10, 48)))
    if kind == _ALPHA:
        bits.flag()
    elif kind == _SPOT:
        bits.take(64)
    elif kind == _FILTER:
        bits.one_of((0, 1), (2, 0), (4, 3), (8, 19))


def _colours(bits: _Bits) -> tuple[int, int, int, int] | None:
    if bits.flag():
        return _SRGB
    profile, space = bits.flag(), bits.code()
    if profile or space not in (0, _GREY):
        return None
    white = bits.code()
    if white == _CUSTOM:
        _points(bits, 1)
    primaries = 1 if space == _GREY else bits.code()
    if primaries == _CUSTOM:
        _points(bits, 3)
    if bits.flag():  # a plain gamma
        return None
    transfer = bits.code()
    if primaries == _P3_DCI:
        primaries = _P3_D65 if white == _D65 else _P3_DCI
    elif white != _D65:
        return None
    return None if _CUSTOM in (primaries, transfer) else (primaries, transfer, 0, 1)


def _points(bits: _Bits, count: int) -> None:
    for _ in range(2 * count):
        bits.one_of((19, 0), (19, 524288), (20, 1048576), (21, 2097152))
