"""Sets how long an animated WebP shows its last frame. libwebp gives it the mean time of the frames before."""

from typing import BinaryIO

_HEAD_BYTES, _CHUNK_HEAD, _FRAME_HEAD = 12, 8, 16
_TIME_AT = _CHUNK_HEAD + 12
_MOST_MILLISECONDS = (1 << 24) - 1
_MOST_CHUNKS = 20_000


def end_at(file: BinaryIO, seconds: float) -> None:
    """Let the last frame end at this time. A file that is no animation stays as it is."""
    before, last = 0, None
    for at, milliseconds in _frames(file):
        before += last[1] if last else 0
        last = at, milliseconds
    if last is None:
        return
    rest = min(_MOST_MILLISECONDS, max(1, round(1000 * seconds) - before))
    file.seek(last[0])
    file.write(rest.to_bytes(3, "little"))
    file.flush()


def _frames(file: BinaryIO) -> list[tuple[int, int]]:
    """Return the place and the value of each frame's time."""
    size, at = file.seek(0, 2), _HEAD_BYTES
    found: list[tuple[int, int]] = []
    file.seek(0)
    if file.read(_HEAD_BYTES)[8:] != b"WEBP":
        return found
    for _ in range(_MOST_CHUNKS):
        if at + _CHUNK_HEAD > size:
            break
        file.seek(at)
        head = file.read(_CHUNK_HEAD + _FRAME_HEAD)
        if head[:4] == b"ANMF" and len(head) == _CHUNK_HEAD + _FRAME_HEAD:
            found.append((at + _TIME_AT, int.from_bytes(head[_TIME_AT : _TIME_AT + 3], "little")))
        length = int.from_bytes(head[4:8], "little")
        at += _CHUNK_HEAD + length + length % 2
    return found
