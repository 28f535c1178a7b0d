"""Reads the chunks of an animated WebP: alpha that its header does not declare, and the frames' durations."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from PIL.ImageFile import ImageFile
from PIL.WebPImagePlugin import WebPImageFile

_FLAGS_AT, _ALPHA, _ANIMATION = 20, 0x10, 0x02
_FRAME_HEAD = 16


@dataclass(frozen=True, slots=True)
class _Frame:
    """One frame: its place and duration, whether it is cleared afterwards, and whether it has alpha."""

    box: tuple[int, int, int, int]
    milliseconds: int
    clears: bool
    alpha: bool


def open_webp(file: IO[bytes]) -> ImageFile:
    """Open a WebP. An animation may leave parts of its canvas empty without the alpha flag, which is set here."""
    head = file.read(30)
    file.seek(0)
    if not _animated(head) or head[_FLAGS_AT] & _ALPHA:
        return WebPImageFile(file)
    data = file.read()
    canvas = int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    frames = list(_frames(data))
    covered = bool(frames) and frames[0].box == (0, 0, *canvas)
    hidden = not covered or any(frame.clears or frame.alpha for frame in frames)
    return WebPImageFile(io.BytesIO(with_alpha(data) if hidden else data))


def with_alpha(data: bytes) -> bytes:
    """Return an animation with the alpha flag set."""
    return (
        data[:_FLAGS_AT] + bytes((data[_FLAGS_AT] | _ALPHA,)) + data[_FLAGS_AT + 1 :] if _animated(data[:30]) else data
    )


def times(data: bytes) -> list[int]:
    """Return the milliseconds of each frame; nothing for a still image."""
    return [frame.milliseconds for frame in _frames(data)] if _animated(data[:30]) else []


def _animated(head: bytes) -> bool:
    return head[12:16] == b"VP8X" and len(head) == 30 and bool(head[_FLAGS_AT] & _ANIMATION)


def _frames(data: bytes) -> Iterator[_Frame]:
    for kind, start, end in _chunks(data, 12, len(data)):
        if kind == b"ANMF" and end - start >= _FRAME_HEAD:
            left, top, width, height, milliseconds = (
                int.from_bytes(data[start + at : start + at + 3], "little") for at in (0, 3, 6, 9, 12)
            )
            inner = list(_chunks(data, start + _FRAME_HEAD, end))
            # a lossless frame has its own alpha flag, after its signature and its size
            alpha = any(
                kind == b"ALPH" or (kind == b"VP8L" and data[at + 4 : at + 5] >= b"\x10") for kind, at, _ in inner
            )
            yield _Frame((2 * left, 2 * top, width + 1, height + 1), milliseconds, bool(data[start + 15] & 1), alpha)


def _chunks(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk, and the beginning and end of its data."""
    while start + 8 <= end:
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        yield data[start : start + 4], start + 8, min(end, start + 8 + size)
        start += 8 + size + size % 2
