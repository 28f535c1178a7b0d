"""Rates over the last seconds, and series over the last minutes; pure."""

import bisect
from collections import deque
from dataclasses import dataclass

from dtqs.readings.values import Reading, SystemTotals, Throughput

KEPT_SECONDS = 300.0
SPAN_SECONDS = 10.0
"""Minimum span of a rate: processes write their counters only every few seconds."""
_COUNTERS = {
    "submitted": "submitted",
    "started": "claimed",
    "completed": "completed",
    "failed": "failed",
    "retried": "retried",
}


@dataclass(frozen=True, slots=True)
class _Point:
    """The totals at a monotonic time. The clock of a reading may be set back or forth between two of them."""

    at: float
    totals: SystemTotals


class History:
    """The totals of the last five minutes, except from readings without PostgreSQL."""

    def __init__(self) -> None:
        self._points: deque[_Point] = deque()

    def add(self, reading: Reading, now: float) -> None:
        """Add a reading that was taken at a monotonic time, and drop the outdated ones."""
        if reading.totals is None:
            return
        self._points.append(_Point(now, reading.totals))
        while self._points[0].at < now - KEPT_SECONDS - 2 * SPAN_SECONDS:
            self._points.popleft()

    @property
    def rates(self) -> Throughput | None:
        """Current rates in tasks per second; None before the second reading."""
        if len(self._points) < 2:
            return None
        at = self._points[-1].at
        return Throughput(**{name: self._rate(name, at) or 0.0 for name in _COUNTERS})

    def series(self, name: str, points: int) -> list[float]:
        """Return a rate at equal steps of the last five minutes, oldest first; fewer than `points` at the start."""
        if not self._points:
            return []
        step, newest, first = KEPT_SECONDS / points, self._points[-1].at, self._points[0].at
        ends = [newest - step * (points - 1 - i) for i in range(points)]
        return [self._rate(name, end) or 0.0 for end in ends if end > first or end == newest]

    def _before(self, at: float) -> _Point | None:
        """Return the last point at or before a time."""
        index = bisect.bisect_right(self._points, at, key=lambda point: point.at)
        return self._points[index - 1] if index else None

    def _rate(self, name: str, at: float) -> float | None:
        last = self._before(at)
        first = self._before(at - SPAN_SECONDS) or self._points[0]
        if last is None or last.at <= first.at:
            return None
        grown = getattr(last.totals, _COUNTERS[name]) - getattr(first.totals, _COUNTERS[name])
        return float(max(0, grown)) / (last.at - first.at)
