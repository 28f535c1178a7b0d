"""Rates over the last seconds, and series over the last minutes; pure."""

import bisect
from collections import deque

from dtqs.readings.values import Reading, Throughput

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


class History:
    """The readings of the last five minutes, except those without PostgreSQL."""

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque()

    def add(self, reading: Reading) -> None:
        """Add a reading and drop the outdated ones."""
        if reading.totals is None:
            return
        self._readings.append(reading)
        while self._readings[0].at < reading.at - KEPT_SECONDS - 2 * SPAN_SECONDS:
            self._readings.popleft()

    @property
    def rates(self) -> Throughput | None:
        """Current rates in tasks per second; None before the second reading."""
        if len(self._readings) < 2:
            return None
        at = self._readings[-1].at
        return Throughput(**{name: self._rate(name, at) or 0.0 for name in _COUNTERS})

    def series(self, name: str, points: int) -> list[float]:
        """Return a rate at equal steps of the last five minutes, oldest first; fewer than `points` at the start."""
        if not self._readings:
            return []
        step, newest, first = KEPT_SECONDS / points, self._readings[-1].at, self._readings[0].at
        ends = [newest - step * (points - 1 - i) for i in range(points)]
        return [self._rate(name, end) or 0.0 for end in ends if end > first or end == newest]

    def _before(self, at: float) -> Reading | None:
        """Return the last reading at or before a time."""
        index = bisect.bisect_right(self._readings, at, key=lambda reading: reading.at)
        return self._readings[index - 1] if index else None

    def _rate(self, name: str, at: float) -> float | None:
        last = self._before(at)
        first = self._before(at - SPAN_SECONDS) or self._readings[0]
        if last is None or last.totals is None or first.totals is None or last.at <= first.at:
            return None
        grown = getattr(last.totals, _COUNTERS[name]) - getattr(first.totals, _COUNTERS[name])
        return float(max(0, grown)) / (last.at - first.at)
