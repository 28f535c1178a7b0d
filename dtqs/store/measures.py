"""The readings of /metrics from PostgreSQL: a bounded number of rows, also beside a million tasks."""

import time
from dataclasses import dataclass

from dtqs.store.driver.connection import Row
from dtqs.store.driver.database import Database
from dtqs.store.workers import COUNTED

SAMPLE_PAGES = 60
"""Pages of the backlog that one reading looks at: about 5,000 rows. A longer backlog is estimated from them."""
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
    """The part of the backlog that was counted: 1 unless it is long."""
    in_progress: int
    connections: int
    connections_limit: int
    size_bytes: int
    oldest_seconds: float
    seconds: float


class Measures:
    def __init__(self, database: Database, late_seconds: float, age_seconds: float) -> None:
        """`late_seconds`: the age of a late heartbeat. `age_seconds`: present values that are older are left out."""
        self._database, self._late, self._age = database, late_seconds, age_seconds
        self._size_bytes, self._size_until = 0, 0.0

    def read(self) -> Measured:
        """Read everything once. Raises StoreUnavailable."""
        began, run = time.monotonic(), self._database.run_once
        ((in_progress, pages, connections, limit, size, oldest),) = run(
            "reading_server", {"with_size": began >= self._size_until}
        )
        if size is not None:
            self._size_bytes, self._size_until = int(size), began + _SIZE_SECONDS
        percent = min(100.0, 100.0 * SAMPLE_PAGES / max(1, pages))
        scale = 100.0 / percent
        sample = run("reading_sample", {"percent": percent})
        (totals,) = run("reading_totals")
        return Measured(
            totals=dict(zip(COUNTED, totals, strict=False)),
            labelled=tuple(run("reading_measures", {"age": self._age})),
            pools=tuple(run("reading_pools", {"late": self._late})),
            backlog=tuple((kind, level, due, round(count * scale), age) for kind, level, due, count, age in sample),
            counted=percent / 100.0,
            in_progress=in_progress,
            connections=connections,
            connections_limit=limit,
            size_bytes=self._size_bytes,
            oldest_seconds=oldest,
            seconds=time.monotonic() - began,
        )
