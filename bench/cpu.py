"""Measure the processor time of groups of processes, from /proc. On a shared machine it is steadier than rates."""

import bisect
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dtqs.sandbox.processes import family

_SAMPLE_SECONDS = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _OF_WAITED_SYSTEM = 11, 14
"""The first and last field in /proc/PID/stat, after the name: user, system, and both for reaped children."""


class Meter:
    """Count processor time from now on.

    A name stands for a process and all its descendants, also those that have ended. The benchmark itself counts without
    its descendants.
    """

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = dict(roots)
        self._before = self._read()

    def per_task(self, tasks: float) -> dict[str, float]:
        """Return microseconds for each task, by name."""
        return {name: 1e6 * (seconds - self._before[name]) / tasks for name, seconds in self._read().items()}

    def seconds(self) -> float:
        """Return the sum of all groups."""
        return sum(self._read().values())

    def spent(self) -> float:
        """Return the seconds of all groups since their processes began, without those of the benchmark."""
        return sum(seconds for name, seconds in self._read().items() if name in self._roots)

    def _read(self) -> dict[str, float]:
        seconds = {name: sum(map(_seconds, family(pid))) for name, pid in self._roots.items()}
        return seconds | {"bench itself": _seconds(os.getpid())}


class Usage:
    """The processor time of the whole product over time, sampled at times."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._samples: list[tuple[float, float]] = []

    def sample(self) -> None:
        now = time.time()
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE_SECONDS:
            self._samples.append((now, self._meter.seconds()))

    def between(self, start: float, end: float) -> float:
        return self._at(end) - self._at(start)

    def _at(self, moment: float) -> float:
        """Interpolate linearly between two samples."""
        at = bisect.bisect_left(self._samples, (moment, 0.0))
        if at in (0, len(self._samples)):
            return self._samples[min(at, len(self._samples) - 1)][1]
        (before, low), (after, high) = self._samples[at - 1 : at + 1]
        return low + (high - low) * (moment - before) / (after - before)


def _seconds(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return sum(map(int, fields[_USER : _OF_WAITED_SYSTEM + 1])) / _TICKS
    return 0.0
