"""Tell a process that stands still from one that works in silence.

ffmpeg reports no progress while it moves the index of a large file to its front, while its encoder collects its first
frames or empties itself at the end, and while it looks for the packets of a sparse track.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dtqs.errors import PermanentError
from dtqs.processors.video.failures import with_last_lines

_LOOK_SECONDS = 0.5
_WORKING = 0.05
"""A process that uses less than this part of one CPU is waiting, not working."""
_MOST_READINGS = 4
"""Reading its files counts as progress up to this many times their size: a hostile file may be read in circles."""


class StallTimer:
    """Raise an error if a process makes no progress for too long.

    Written output and read files are progress, and `reset` reports any other. CPU time counts for `patience` times the
    limit.
    """

    def __init__(
        self, name: str, pid: int, files: Sequence[BinaryIO], limit_seconds: float, patience: float = 0.0
    ) -> None:
        self._name, self._pid, self._files, self._limit_seconds = name, pid, files, limit_seconds
        self._patience_seconds = patience * limit_seconds
        self._moved_at = self._worked_at = self._looked_at = time.monotonic()
        self._has_moved, self._cpu_seconds, self._traces = False, 0.0, self._look()

    def reset(self) -> None:
        self._has_moved, self._moved_at = True, time.monotonic()

    def check(self, lines: Sequence[str]) -> None:
        """Raise PermanentError after the limit; its message has the last log lines."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._look_again(now)
        if now - max(self._moved_at, self._worked_at) <= self._limit_seconds:
            return
        used, self._cpu_seconds = self._cpu_seconds, _cpu_seconds(self._pid)
        is_working = self._cpu_seconds - used >= _WORKING * self._limit_seconds
        if not is_working or now - self._moved_at > self._patience_seconds:
            raise PermanentError(
                f"{self._name} made no progress for {self._limit_seconds:g} s, the limit stall_seconds"
                f"{with_last_lines(lines)}"
            )
        self._worked_at = now

    def _look_again(self, now: float) -> None:
        before, self._traces, self._looked_at = self._traces, self._look(), now
        if self._traces != before:
            self.reset()
        if self._has_moved:
            self._has_moved, self._cpu_seconds = False, _cpu_seconds(self._pid)

    def _look(self) -> tuple[object, ...]:
        """Return values that change while the process reads or writes its files."""
        found = [os.fstat(file.fileno()) for file in self._files]
        sizes = [(file.st_size, file.st_mtime_ns) for file in found]
        return (*sizes, min(_bytes_read(self._pid), _MOST_READINGS * sum(size for size, _ in sizes)))


def _bytes_read(pid: int) -> int:
    """Return how much a child has read; 0 where the kernel does not tell."""
    with suppress(OSError):
        first, _, _ = Path(f"/proc/{pid}/io").read_text(encoding="ascii", errors="replace").partition("\n")
        return int(first.removeprefix("rchar:"))
    return 0


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time that all threads of a child have used, before it is waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
