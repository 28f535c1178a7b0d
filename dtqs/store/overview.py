"""The reads of dtqs.readings, as rows whose columns are the fields of the readings. Each statement looks at a bounded
number of rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dtqs.deadline import Deadline
from dtqs.event import LEVELS
from dtqs.store.driver.connection import Row
from dtqs.store.driver.database import Database
from dtqs.store.driver.statements import lived_since
from dtqs.store.log_end import LogEnd

LOOK_LIMIT = 11_000
"""Most backlog rows read that are due now or soon."""
LATER_LIMIT = 2_000
"""Most backlog rows read that are due later."""
_HIGHER_LIMIT, _HIGHER_PAGES = 2_000, "(2000,0)"
"""Most rows read with a higher priority, and the pages searched for them, which hold some 150,000 rows."""
WORKERS_LIMIT = 500
POOLS_LIMIT = 500
"""Most pairs of node and pool that are read."""
_PROGRESS_LOOK = 50
"""How many of a task's newest log rows are searched for its progress."""
_FAILURES_LOOK = 500
_COMPLETED_LIMIT = 200
_RECENT_LOOK = 5_000
LOG_LOOKS = (2_000, 20_000, 50_000)
"""How many of the newest log rows are read: the next number if the one before finds too few matches."""
_TASK_LOG_LOOK = 5_000


@dataclass(frozen=True, slots=True)
class BacklogReading:
    """Counts of the backlog as (type, priority, due, count, seconds since the oldest was due), and the next tasks.

    `more`: a limit cut the counts. Those of the highest priorities may still be complete.
    """

    counts: tuple[tuple[str, int, bool, int, float], ...]
    coming: tuple[Row, ...]
    in_progress: int
    more: bool


@dataclass(frozen=True, slots=True)
class Recent:
    """The last minutes: p50 and p95 of waits and runs (None if nothing completed), and tasks that will be retried."""

    wait: tuple[float, float] | None
    run: tuple[float, float] | None
    retrying: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """The wanted log rows: the newest `limit` of a level or above that contain a text."""

    limit: int
    level: str | None = None
    search: str | None = None

    @property
    def levels(self) -> list[str]:
        return list(LEVELS[LEVELS.index(self.level) if self.level else 0 :])


class Overview:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._log_end = LogEnd(database)

    def totals(self) -> tuple[Row, float, str, bool]:
        """Return the sums of all counters, the server's Unix time and version, and if it is read-only.

        Raises StoreUnavailable.
        """
        row = self._database.look("reading_totals", Deadline(0))
        return row[:-3], row[-3], row[-2], row[-1]

    def processes(self, age_seconds: float) -> list[Row]:
        """Return the keepers and API processes heard of lately. Raises StoreUnavailable."""
        return self._database.run_once("reading_processes", {"age": age_seconds})

    def workers(self) -> list[Row]:
        """Return a row per live worker. Column 10 is its task's last progress, the last column the number of workers.

        Raises StoreUnavailable.
        """
        return self._database.run_once("reading_workers", {"limit": WORKERS_LIMIT, "look": _PROGRESS_LOOK})

    def pools(self, late_seconds: float, lease_seconds: float) -> list[Row]:
        """Return a row for each node and pool with live workers, those with most late workers first.

        The columns from the eighth on are totals of all pools, also of those beyond the limit. A worker is late, or
        may be dead, if its heartbeat is as old. Raises StoreUnavailable.
        """
        limits = {"late": late_seconds, "lease": lease_seconds, "limit": POOLS_LIMIT}
        return self._database.run_once("reading_worker_pools", limits)

    def backlog(self, far_out_seconds: float, next_limit: int, later_limit: int) -> BacklogReading:
        """Return counts of the backlog and the next tasks. Raises StoreUnavailable."""
        limits = {
            "look": LOOK_LIMIT,
            "look_higher": _HIGHER_LIMIT,
            "pages": _HIGHER_PAGES,
            "look_later": LATER_LIMIT,
            "next": next_limit,
            "later": later_limit,
        }
        rows = self._database.run_once("reading_backlog", {"far_out": far_out_seconds} | limits)
        counted = [row for row in rows if row[0] is None and row[1] is not None]
        near, far = (sum(row[6] for row in counted if row[9] == part) for part in ("near", "later"))
        return BacklogReading(
            counts=tuple((row[1], row[2], row[5], row[6], row[8]) for row in counted),
            coming=tuple(row[:8] for row in rows if row[0] is not None),
            in_progress=int(next(row[6] for row in rows if row[1] is None)),
            more=near >= LOOK_LIMIT or far >= LATER_LIMIT,
        )

    def failures(self, limit: int) -> list[Row]:
        """Return the newest failures among the 500 failed tasks submitted last. Raises StoreUnavailable."""
        return self._database.run_once("reading_failures", {"look": _FAILURES_LOOK, "limit": limit})

    def recent(self, limit: int) -> Recent:
        """Return a summary of the log's last minutes, or of less if it has many rows. Raises StoreUnavailable."""
        parameters = {"since": self._log_end.since(_RECENT_LOOK), "completed": _COMPLETED_LIMIT, "limit": limit}
        ((wait, run, retrying),) = self._database.run_once("reading_recent", parameters)
        return Recent(_pair(wait), _pair(run), tuple(tuple(row) for row in retrying))

    def task_logs(self, task_id: str, query: LogQuery) -> list[Row]:
        """Return a task's newest log rows, oldest first. Raises StoreUnavailable."""
        parameters = {
            "task_id": task_id,
            "since": lived_since([task_id]),
            "look": _TASK_LOG_LOOK,
            "limit": query.limit,
            **_filter(query),
        }
        return self._database.run_once("reading_task_logs", parameters)

    def logs(self, query: LogQuery) -> list[Row]:
        """Return the newest log rows, oldest first. The search for matches ends after the last of LOG_LOOKS rows.

        Raises StoreUnavailable.
        """
        rows: list[Row] = []
        since: float | None = None
        for look in LOG_LOOKS:
            if look < query.limit and look != LOG_LOOKS[-1]:
                continue
            before, since = since, self._log_end.since(look)
            if since != before:
                rows = self._database.run_once("reading_logs", {"since": since, "limit": query.limit, **_filter(query)})
            if len(rows) >= query.limit:
                break
        return rows

    def log_ids(self, since: float, span_seconds: float, query: LogQuery) -> tuple[list[int], float]:
        """Return the ids of the log rows of a span that begins at a Unix time, and the server's Unix time.

        Raises StoreUnavailable.
        """
        ((ids, now),) = self._database.run_once(
            "reading_log_ids", {"since": since, "span": span_seconds, **_filter(query)}
        )
        return ids, now

    def named_logs(self, since: float, log_ids: Sequence[int]) -> list[Row]:
        """Return log rows by their ids, all of them since a Unix time. Raises StoreUnavailable."""
        return self._database.run_once("reading_named_logs", {"since": since, "ids": list(log_ids)})


def _filter(query: LogQuery) -> dict[str, object]:
    return {"levels": query.levels, "search": query.search, **_ids(query.search)}


def _ids(search: str | None) -> dict[str, object]:
    """Return the first and last id that begin with a text, or None if no id can begin so."""
    digits = (search or "").lower().replace("-", "")
    if not 4 <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        return {"first_id": None, "last_id": None}
    return {"first_id": digits.ljust(32, "0"), "last_id": digits.ljust(32, "f")}


def _pair(values: Sequence[float] | None) -> tuple[float, float] | None:
    return None if values is None or values[0] is None else (float(values[0]), float(values[1]))
