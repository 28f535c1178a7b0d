"""How many workers an autoscaled pool should have; pure. The desk reads the load, and acts.

wanted = busy workers + due tasks × seconds of one task ÷ target wait. A pool grows at most twofold per 5 s.
After a quiet minute (`quiet_seconds`) it shrinks by one worker per 10 s.
"""

import math
from dataclasses import dataclass

from dtqs.config import PoolSection

_GROWTH_SECONDS, _GROWTH = 5.0, 2
_SHRINK_SECONDS = 10.0
_WEIGHT = 0.3
"""Weight of the newest measurement of the time of one task."""
_MOST_TASK_SECONDS = 1e7
"""More than any time limit. A larger number comes from damaged memory."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load of a pool. Without the keeper or PostgreSQL, `due` stays unknown (None)."""

    workers: int
    busy: int
    due: int | None


@dataclass(frozen=True, slots=True)
class Resize:
    """The number of workers that a pool should have now, and why."""

    workers: int
    reason: str


class Scaler:
    """The decisions for one pool. Times are monotonic."""

    def __init__(self, section: PoolSection) -> None:
        self._least, self._most, self._wait = section.min, section.max, section.target_wait_seconds
        self._quiet = section.quiet_seconds
        self._task_seconds: float | None = None
        self._window_at, self._window_workers = float("-inf"), 0
        self._quiet_since: float | None = None
        self._shrunk_at = float("-inf")

    def served(self, tasks: float, seconds: float) -> None:
        """Learn the time of one task from tasks that have ended. Numbers that a task has damaged teach nothing."""
        # the comparisons are false for NaN
        if 0 < tasks < math.inf and 0 <= seconds <= tasks * _MOST_TASK_SECONDS:
            known, found = self._task_seconds, seconds / tasks
            self._task_seconds = found if known is None else known + _WEIGHT * (found - known)

    def step(self, load: Load, now: float) -> Resize | None:
        """Return the next step, or None if the pool should stay as it is."""
        if load.due is None:
            self._quiet_since = None
            return None
        each = self._wait if self._task_seconds is None else self._task_seconds
        needed = load.busy + math.ceil(load.due * each / self._wait)
        wanted = max(self._least, min(self._most, needed))
        reason = f"{load.busy} busy, {load.due} due of {each:.3g} s each, target wait {self._wait:g} s: {needed} needed"
        if wanted > load.workers:
            self._quiet_since = None
            return self._grown(load.workers, wanted, reason, now)
        if wanted == load.workers:
            self._quiet_since = None
            return None
        self._quiet_since = now if self._quiet_since is None else self._quiet_since
        if now - self._quiet_since < self._quiet or now - self._shrunk_at < _SHRINK_SECONDS:
            return None
        return Resize(load.workers - 1, f"quiet for {now - self._quiet_since:.0f} s; {reason}")

    def shrunk(self, now: float) -> None:
        """Note that one worker was asked to leave. Without an idle one the step is repeated."""
        self._shrunk_at = now

    def _grown(self, workers: int, wanted: int, reason: str, now: float) -> Resize | None:
        if now - self._window_at >= _GROWTH_SECONDS:
            self._window_at, self._window_workers = now, max(1, workers)
        most = max(self._least, _GROWTH * self._window_workers)
        return Resize(min(wanted, most), reason) if min(wanted, most) > workers else None
