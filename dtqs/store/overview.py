"""What readings ask of PostgreSQL, in rows whose columns are those of the readings' values. Every statement looks at a bounded number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from dtqs.store.database import Database, Row
from dtqs.store.statements import lived_since, statement

LOOK_LIMIT = 11_000
"""Most rows of the backlog that are looked at, of those that are due or soon will be."""
LATER_LIMIT = 2_000
"""And of those that are due beyond that."""
LEVELS = ("debug", "info", "warning", "error")
_WORKERS_LIMIT = 500
_FAILURES_LOOK = 500
_RECENT_PAGES = 64
_COMPLETED_LIMIT = 200
_LOG_PAGES = (16, 128, 512)
"""How far back the log is searched, wider each time until enough is found: four MiB of it at most."""
_TASK_LOG_LOOK = 5_000
_DAY_END = "(4294967294,0)"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a look at the backlog saw: counts as (type, priority, due, count, seconds since the oldest's due), and the tasks that come next and later.

    `more`: it was cut somewhere.
    """

    counts: tuple[tuple[str, int, bool, int, float], ...]
    coming: tuple[Row, ...]
    in_progress: int
    more: bool


@dataclass(frozen=True, slots=True)
class Recent:
    """Of what happened last: median and 95th percentile of waits and runs (None where nothing completed), and rows of tasks that are to be retried."""

    wait: tuple[float, float] | None
    run: tuple[float, float] | None
    retrying: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which log rows are wanted: the newest `limit` after one id, of a level or above, with a text in them."""

    limit: int
    level: str | None = None
    search: str | None = None
    after: int = 0

    @property
    def levels(self) -> list[str]:
        return list(LEVELS[LEVELS.index(self.level) if self.level else 0 :])


class Overview:
    def __init__(self, database: Database) -> None:
        self._database = database

    def totals(self) -> tuple[Row, str]:
        """Return the sums of all counters, and the server's version. Raises StoreUnavailable."""
        (row,) = self._database.run_once("reading_totals")
        return row[:-1], row[-1]

    def processes(self, age_seconds: float) -> list[Row]:
        """Raises StoreUnavailable."""
        return self._database.run_once("reading_processes", {"age": age_seconds})

    def workers(self) -> list[Row]:
        """Return a row for each living worker, the tenth column being its task's last progress. Raises StoreUnavailable."""
        return self._database.run_once("reading_workers", {"limit": _WORKERS_LIMIT})

    def backlog(self, far_out_seconds: float, next_limit: int, later_limit: int) -> Backlog:
        """Raises StoreUnavailable."""
        limits = {"look": LOOK_LIMIT, "look_later": LATER_LIMIT, "next": next_limit, "later": later_limit}
        rows = self._database.run_once("reading_backlog", {"far_out": far_out_seconds} | limits)
        counted = [row for row in rows if row[0] is None and row[1] is not None]
        near, far = (sum(row[6] for row in counted if row[9] is part) for part in (True, False))
        return Backlog(
            counts=tuple((row[1], row[2], row[5], row[6], row[8]) for row in counted),
            coming=tuple(row[:8] for row in rows if row[0] is not None),
            in_progress=int(next(row[6] for row in rows if row[1] is None)),
            more=near >= LOOK_LIMIT or far >= LATER_LIMIT,
        )

    def failures(self, limit: int) -> list[Row]:
        """Return the newest failed tasks, of the 500 failed ones that were submitted last. Raises StoreUnavailable."""
        return self._database.run_once("reading_failures", {"look": _FAILURES_LOOK, "limit": limit})

    def recent(self, limit: int) -> Recent:
        """Look at the end of today's log. Raises StoreUnavailable."""
        days = self._days()
        if not days:
            return Recent(None, None, ())
        name, pages = days[0]
        parameters = {"from": _page(pages - _RECENT_PAGES), "completed": _COMPLETED_LIMIT, "limit": limit}
        ((wait, run, retrying),) = self._database.select(_of_day("reading_recent", name), parameters)
        return Recent(_pair(wait), _pair(run), tuple(tuple(row) for row in retrying))

    def task_logs(self, task_id: str, query: LogQuery) -> list[Row]:
        """Return a task's newest log rows, oldest first. Raises StoreUnavailable."""
        parameters = {"task_id": task_id, "since": lived_since([task_id]), "look": _TASK_LOG_LOOK, **_parameters(query)}
        return self._database.run_once("reading_task_logs", parameters)

    def logs(self, query: LogQuery) -> list[Row]:
        """Return the newest log rows, oldest first; those that a filter leaves are searched for only so far back. Raises StoreUnavailable."""
        rows: list[Row] = []
        left = _LOG_PAGES[-1]
        for name, pages in self._days():
            end = pages
            for width in _LOG_PAGES[1:2] if query.after else _LOG_PAGES:
                start = max(0, pages - width, end - left)
                rows = self._log_part(name, start, None if end == pages else end, query, query.limit - len(rows)) + rows
                left, end = left - (end - start), start
                if len(rows) >= query.limit or end == 0 or left <= 0:
                    break
            if len(rows) >= query.limit or left <= 0:
                break
        return rows

    def _log_part(self, name: str, start: int, end: int | None, query: LogQuery, limit: int) -> list[Row]:
        parameters = {"from": _page(start), "to": _DAY_END if end is None else _page(end), **_parameters(query), **_ids(query.search), "limit": limit}
        return self._database.select(_of_day("reading_logs", name), parameters)

    def _days(self) -> Sequence[Row]:
        return self._database.run_once("reading_days")


def _parameters(query: LogQuery) -> dict[str, object]:
    return {"after": query.after, "levels": query.levels, "search": query.search, "limit": query.limit}


def _ids(search: str | None) -> dict[str, object]:
    """Return the ids that begin with a text, where it may be the beginning of one."""
    digits = (search or "").lower().replace("-", "")
    if not 4 <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        return {"first_id": None, "last_id": None}
    return {"first_id": digits.ljust(32, "0"), "last_id": digits.ljust(32, "f")}


def _page(number: int) -> str:
    return f"({max(0, number)},0)"


def _pair(values: Sequence[float] | None) -> tuple[float, float] | None:
    return None if values is None or values[0] is None else (float(values[0]), float(values[1]))


def _of_day(name: str, partition: str) -> sql.Composed:
    # the only name in it that is not the file's
    return sql.SQL(statement(name).decode()).format(partition=sql.Identifier(partition))
