"""Read ffmpeg's two output streams while it runs: the progress blocks on one, the log lines on the other."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dtqs.processors.video.figures import number
from dtqs.processors.video.packets import LINE_BYTES

_LINES_KEPT, _LINE_CHARACTERS, _LINE_BYTES = 60, 500, 2000
_KEYS = frozenset({"out_time_us", "frame", "total_size", "speed"})
_FILE_NAMES = re.compile(r"(file:)?/proc/self/fd/\d+")
_ADDRESSES = re.compile(r" @ 0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class EncodeProgress:
    """The progress of an ffmpeg: seconds of output, frames, bytes, and its speed relative to playback."""

    seconds: float
    frames: int
    size_bytes: int
    speed: float | None


Watch = Callable[[EncodeProgress], object]


class LogTail:
    """The last log lines of a process. It is bounded, because a hostile file can make ffmpeg log gigabytes."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._rest = b""

    def take(self, sample: bytes) -> bool:
        *whole, self._rest = (self._rest + sample).replace(b"\r", b"\n").split(b"\n")
        if not sample:
            whole, self._rest = [*whole, self._rest], b""
        # the end of a long line is dropped: it must not look like a line of its own
        self._rest = self._rest[:_LINE_BYTES]
        # clean only lines that stay: a megabyte of log would otherwise take more than a second
        self.lines.extend(_plain(line) for line in [line for line in whole if line.strip()][-_LINES_KEPT:])
        return False  # log lines are not progress


class ProgressReader:
    """Read the output of `-progress`: repeated blocks of `key=value` lines."""

    def __init__(self, watch: Watch | None) -> None:
        self._watch, self._rest = watch, b""
        self._block: dict[str, str] = {}
        self._last = EncodeProgress(0.0, 0, 0, None)

    def take(self, sample: bytes) -> bool:
        """Read a sample, and tell whether the encoding has advanced."""
        *whole, rest = (self._rest + sample).split(b"\n")
        self._rest = rest[-LINE_BYTES:]  # ffmpeg itself never prints a longer line
        # sum() and not any(), which would leave lines unread
        return sum(self._line(line.decode("ascii", "replace")) for line in whole) > 0

    def _line(self, line: str) -> bool:
        key, _, value = line.partition("=")
        if (key := key.strip()) in _KEYS:
            self._block[key] = value.strip()
        if key != "progress":
            return False
        block, self._block = self._block, {}
        now = EncodeProgress(
            (number(block.get("out_time_us")) or 0.0) / 1e6,
            int(number(block.get("frame")) or 0),
            int(number(block.get("total_size")) or 0),
            number(block.get("speed", "").rstrip("x")),
        )
        last, self._last = self._last, now
        if self._watch:
            self._watch(now)
        return (now.seconds, now.frames, now.size_bytes) != (last.seconds, last.frames, last.size_bytes)


def _plain(line: bytes) -> str:
    text = _ADDRESSES.sub("", _FILE_NAMES.sub("the file", line.decode("utf-8", "replace")))
    return "".join(character for character in text if character.isprintable())[:_LINE_CHARACTERS]
