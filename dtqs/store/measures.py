"""The readings of /metrics from PostgreSQL: a bounded number of rows, also beside a million tasks."""

import contextlib
import time
from dataclasses import dataclass

from dtqs.errors import StoreUnavailable
from dtqs.store.driver.connection import Row
from dtqs.store.driver.database import Database
from dtqs.store.workers import COUNTED

SAMPLE_PAGES = 60
"""Pages of the backlog that one reading samples: about 5,000 rows. A longer backlog is estimated from them."""
DUE_LIMIT = 10_000
"""Most backlog rows that are read in the order of publish times. Up to here the counts of due tasks are exact."""
_SLOW_SECONDS, _PAUSES = 0.5, 10.0
"""Labelled values that took longer stay for ten times as long: the statement keeps a tenth of a core busy at most."""
_SIZE_SECONDS = 60.0
"""How long the size of the database is remembered."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One reading. `labelled` has (name, node or None, value); `backlog` has (type, priority, due, count, age)."""

    totals: dict[str, int]
    labelled: tuple[tuple[str, str | None, float], ...]
    pools: tuple[Row, ...]
    backlog: tuple[tuple[str, int, bool, float, float], ...]
    counted: float
    """The part of the backlog that was sampled: 1 unless it is long. Due tasks are counted beside it."""
    in_progress: int
    connections: int
    connections_limit: int
    size_bytes: int
    oldest_seconds: float
    seconds: float
    takers: tuple[tuple[str | None, int], ...] = ()
    """The workers that take tasks from each queue; those of old versions, which name none, under None."""
    labelled_at: float = 0.0
    """When `labelled` was read, on the monotonic clock. It can be older than the rest; minus infinity: never yet."""


class Measures:
    def __init__(self, database: Database, late_seconds: float, age_seconds: float, far_out_seconds: float) -> None:
        """`late_seconds`: the age of a late heartbeat. `age_seconds`: present values that are older are left out."""
        self._database, self._late, self._age, self._far_out = database, late_seconds, age_seconds, far_out_seconds
        self.answered = False
        """Whether PostgreSQL answered the last reading, also if one of its statements took too long."""
        self._size_bytes, self._size_until = 0, 0.0
        self._labelled: tuple[tuple[str, str | None, float], ...] = ()
        self._labelled_at, self._labelled_until = float("-inf"), float("-inf")

    def read(self) -> Measured:
        """Read everything once. Raises StoreUnavailable."""
        self.answered = False
        began, run = time.monotonic(), self._database.run_once
        ((in_progress, pages, connections, limit, size, oldest),) = run(
            "reading_server", {"with_size": began >= self._size_until}
        )
        self.answered = True
        if size is not None:
            self._size_bytes, self._size_until = int(size), began + _SIZE_SECONDS
        percent = min(100.0, 100.0 * SAMPLE_PAGES / max(1, pages))
        scale = 100.0 / percent
        sample = run("reading_sample", {"percent": percent, "far_out": self._far_out, "look": DUE_LIMIT})
        (totals,) = run("reading_totals")
        pools, takers = run("reading_pools", {"late": self._late}), run("reading_takers", {"late": self._late})
        self._read_labelled()
        return Measured(
            totals=dict(zip(COUNTED, totals, strict=False)),
            labelled=self._labelled,
            pools=tuple(pools),
            takers=tuple((queue, count) for queue, count in takers),
            backlog=tuple(
                (kind, level, due, found + round(sampled * scale), age)
                for kind, level, due, found, sampled, age in sample
            ),
            counted=percent / 100.0,
            in_progress=in_progress,
            connections=connections,
            connections_limit=limit,
            size_bytes=self._size_bytes,
            oldest_seconds=oldest,
            seconds=time.monotonic() - began,
            labelled_at=self._labelled_at,
        )

    def _read_labelled(self) -> None:
        """Read the labelled values again, unless that takes long and was done lately.

        Its time grows with processes times types. If it fails, the values before stay: the other statements have just
        been answered, so PostgreSQL is not away.
        """
        began = time.monotonic()
        if began < self._labelled_until:
            return
        with contextlib.suppress(StoreUnavailable):
            self._labelled = tuple(self._database.run_once("reading_measures", {"age": self._age}))
            self._labelled_at = began
        if (took := time.monotonic() - began) > _SLOW_SECONDS:
            self._labelled_until = began + took + _PAUSES * took
