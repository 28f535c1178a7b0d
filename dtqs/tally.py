"""The counts of one process for /metrics: totals, histograms and present values, by name.

A heartbeat stores `values()` in the process's row of `counters`, and SQL adds the rows. So a name carries its labels:
`attempts|echo|failed`. Names that begin with `=` or `^` are present values, to be added or to take the greatest of.
"""

import bisect
from collections.abc import Mapping, Sequence

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of the buckets for waits and runs: from a tiny task to a long film."""
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
BOUNDS = {"wait": SECONDS, "run": SECONDS, "commit": SIZES}
"""The histograms, with the bounds of their buckets."""
ABOVE = "inf"


class Histogram:
    """Counts of values per bucket, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds, self._counts, self._sum = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, values: Sequence[float]) -> None:
        """Add some values. The times of a batch mostly share a bucket, so its least and greatest are looked up first.

        Measured with 250 values: 46 ns each if they share a bucket, 240 ns if not.
        """
        low, high = (bisect.bisect_left(self._bounds, value) for value in (min(values), max(values)))
        if low == high:
            self._counts[low] += len(values)
        else:
            for value in values:
                self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += sum(values)

    def values(self, name: str) -> dict[str, float]:
        """Return the counts of the buckets that have any, by their upper bounds, and the sum."""
        bounds = [f"{bound:g}" for bound in self._bounds] + [ABOVE]
        found = {f"{name}|{bound}": count for bound, count in zip(bounds, self._counts, strict=True) if count}
        return {**found, f"{name}|sum": self._sum}


class Tally:
    """The counts of one process. Several threads may add; each name has mostly one."""

    def __init__(self) -> None:
        self._totals: dict[str, float] = {}
        self._present: dict[str, float] = {}
        self._histograms: dict[str, Histogram] = {}

    def add(self, name: str, count: float = 1) -> None:
        """Add to a total."""
        self._totals[name] = self._totals.get(name, 0) + count

    def set(self, name: str, value: float) -> None:
        """Set a present value, or a total that another counter keeps."""
        (self._present if name[0] in "=^" else self._totals)[name] = value

    def observe(self, histogram: str, label: str, values: Sequence[float]) -> None:
        """Add values to one of the histograms of `BOUNDS`."""
        if values:
            name = f"{histogram}|{label}"
            found = self._histograms.get(name)
            if found is None:
                found = self._histograms[name] = Histogram(BOUNDS[histogram])
            found.add(values)

    def state(self, name: str, state: str) -> None:
        """Set the present state of a part, which is the last label of its name."""
        self.replace(name, {f"{name}|{state}": 1.0})

    def replace(self, name: str, values: Mapping[str, float]) -> None:
        """Set these present values, in place of all that begin with the same labels."""
        for old in [old for old in list(self._present) if old.startswith(f"{name}|")]:  # other threads may add
            del self._present[old]
        self._present.update(values)

    def values(self, ends: bool = False) -> dict[str, float]:
        """Return everything, by name. A process that ends has no present values."""
        values = {**self._totals, **({} if ends else self._present)}
        for name, histogram in list(self._histograms.items()):
            values |= histogram.values(name)
        return values


def death_label(cause: str) -> str:
    """Return one of few words for the cause of a worker's death, which is text for people."""
    for start, label in _DEATHS.items():
        if cause.startswith(start):
            return label
    return "other"


_DEATHS = {
    "signal 9": "killed",
    "signal ": "signal",
    "exit status": "exit",
    "out of memory": "out_of_memory",
    "its memory of": "memory_kill",
    "killed by an operator": "operator",
    "time limit": "time_limit",
    "no sign of life": "silent",
    "no heartbeat": "no_heartbeat",
    "its supervisor ended": "supervisor_ended",
    "did not end in time": "late_at_stop",
    "retired": "retired",
}
