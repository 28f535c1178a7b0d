"""Reads PostgreSQL and RabbitMQ into one reading. A lost server costs a few seconds and is reported in the reading."""

import threading
import time
from collections.abc import Sequence
from typing import Any

from dtqs import unkept
from dtqs.broker.look_link import BrokerLook, LookLink
from dtqs.config import LeaseSection, RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable, StoreUnavailable
from dtqs.given_up import from_values
from dtqs.readings.alarms import Seen, alarms, is_late, late_after
from dtqs.readings.values import (
    BrokerReading,
    Depth,
    Failure,
    Health,
    KeeperReading,
    Latency,
    QueuedTask,
    QueueReading,
    Reading,
    SystemLogRow,
    SystemTotals,
    WorkerCounts,
    WorkerPoolReading,
    WorkerReading,
)
from dtqs.routes import NO_ROUTES, QUEUE, Routes
from dtqs.store import Store
from dtqs.store.driver.connection import Row
from dtqs.store.overview import BacklogReading, LogQuery, Overview, Recent
from dtqs.task import Status

_LIMIT_SECONDS = 2.0
"""Time limit of one answer; a slower server counts as away."""
_LOG_LIMIT_SECONDS = 5.0
"""Time limit of one query of the log, which may wait for other queries."""
_PARTS = ("totals", "workers", "processes", "failures", "latency", "depth", "next_tasks", "later_tasks")
"""The parts of a reading that are missing without PostgreSQL."""
_PROCESS_AGE_SECONDS = 60.0
"""A keeper or API process without counters for longer is gone."""


class SystemReader:
    """Reads through its own connections, opened by the first reading. Slow searches of the log have a separate one.

    One reading at a time; `close` may be called twice.
    """

    def __init__(self, store: Store, rabbitmq: RabbitmqSection, name: str, routes: Routes = NO_ROUTES) -> None:
        self._lease, self._queues = store.lease_section, routes.queues
        self._database = store.database.another(name, _LIMIT_SECONDS)
        self._log_database = store.database.another(f"{name} logs", _LOG_LIMIT_SECONDS)
        self._overview, self._logs = Overview(self._database), Overview(self._log_database)
        self._link = LookLink(rabbitmq, name)
        self._looking = threading.Lock()
        self._claimed: int | None = None
        self._claimed_at = time.monotonic()

    def read(self, next_limit: int = 5, later_limit: int = 5, failures: int = 10) -> Reading:
        """Read everything once. Raises no errors."""
        self._database.start()
        database, parts, read_only = self._read_database(next_limit, later_limit, failures)
        broker, look = self._read_broker()
        seen = Seen(
            database,
            broker,
            missing_queues=_missing(look) if look else (),
            down_queues=look.down if look else {},
            blocked=look is not None and look.blocked,
            quiet_seconds=self._quiet_seconds(parts),
            lease=self._lease,
            refusal=look.refusal if look else None,
            read_only=read_only,
        )
        reading = Reading(at=time.time(), database=database, broker=broker, alarms=(), **parts, **_queues(look))
        return _with_alarms(reading, seen)

    def newest_logs(
        self, limit: int, level: str | None = None, task_id: str | None = None, search: str | None = None
    ) -> list[SystemLogRow]:
        """Return the newest log rows in order of time, filtered by minimum level, task and text.

        Without a task the search reads about the newest 50,000 rows. Raises StoreUnavailable.
        """
        self._log_database.start()
        query = LogQuery(limit, level, search or None)
        rows = self._logs.task_logs(task_id, query) if task_id else self._logs.logs(query)
        return [SystemLogRow(*row) for row in rows]

    def log_ids(
        self, since: float, span_seconds: float, level: str | None, search: str | None
    ) -> tuple[list[int], float]:
        """Return the ids of the log rows in a span from a Unix time on, and PostgreSQL's time.

        Raises StoreUnavailable.
        """
        self._log_database.start()
        return self._logs.log_ids(since, span_seconds, LogQuery(0, level, search or None))

    def named_logs(self, since: float, log_ids: Sequence[int]) -> list[SystemLogRow]:
        """Return log rows by their ids; all are younger than a Unix time. Raises StoreUnavailable."""
        self._log_database.start()
        return [SystemLogRow(*row) for row in self._logs.named_logs(since, log_ids)]

    def close(self) -> None:
        """Close the connections."""
        for database in (self._database, self._log_database):
            database.stop()
        self._link.close()

    def _read_database(self, next_limit: int, later_limit: int, failures: int) -> tuple[Health, dict[str, Any], bool]:
        began = time.monotonic()
        overview = self._overview
        try:
            totals, now, version, read_only = overview.totals()
            latency_seconds = time.monotonic() - began
            clock_ahead_seconds = now - (time.time() - latency_seconds / 2)
            recent = overview.recent(failures)
            parts = {
                "totals": SystemTotals(*totals),
                "clock_ahead_seconds": clock_ahead_seconds,
                **_workers(overview.workers(), self._lease),
                **_pools(overview.pools(late_after(self._lease), self._lease.lease_seconds)),
                "processes": tuple(
                    KeeperReading(
                        row[0], row[1], row[2], row[3], from_values(row[4] or {}), unkept.from_values(row[4] or {})
                    )
                    for row in overview.processes(_PROCESS_AGE_SECONDS)
                ),
                "failures": _failures(overview.failures(failures), recent, failures),
                "latency": _latency(recent),
                **_backlog(overview.backlog(self._lease.far_out_seconds, next_limit, later_limit)),
            }
        except StoreUnavailable as error:
            return Health("PostgreSQL", "away", str(error).removeprefix("PostgreSQL: ")), dict.fromkeys(_PARTS), False
        return (
            Health("PostgreSQL", "ok", f"version {version}{', read-only' if read_only else ''}", latency_seconds),
            parts,
            read_only,
        )

    def look(self) -> BrokerLook | None:
        """Look at the broker alone, for /metrics. Returns None if it is away."""
        return self._read_broker()[1]

    def _read_broker(self) -> tuple[Health, BrokerLook | None]:
        try:
            with self._looking:  # a look has its time limit, and so has the wait for one
                look = self._link.look(Deadline(_LIMIT_SECONDS), self._queues)
        except BrokerUnavailable as error:
            return Health("RabbitMQ", "away", str(error).removeprefix("RabbitMQ: ").removeprefix("RabbitMQ ")), None
        words = "blocked by a memory or disk alarm" if look.blocked else f"version {look.version}"
        return Health("RabbitMQ", "ok", words, look.latency_seconds), look

    def _quiet_seconds(self, parts: dict[str, Any]) -> float:
        """Return the time since this reader saw the number of claims change."""
        totals = parts["totals"]
        if totals is not None and totals.claimed != self._claimed:
            self._claimed, self._claimed_at = totals.claimed, time.monotonic()
        return time.monotonic() - self._claimed_at


def _with_alarms(reading: Reading, seen: Seen) -> Reading:
    fields = {name: getattr(reading, name) for name in reading.__slots__}
    return Reading(**fields | {"alarms": alarms(reading, seen)})


def _workers(rows: Sequence[Row], lease: LeaseSection) -> dict[str, Any]:
    return {
        "workers": tuple(_worker(row, lease) for row in rows),
        "more_workers": rows[0][-1] - len(rows) if rows else 0,
    }


def _pools(rows: Sequence[Row]) -> dict[str, Any]:
    workers, busy, late, live, draining, ready, nodes, late_pools = rows[0][7:] if rows else [0] * 8
    return {
        "worker_counts": WorkerCounts(workers, busy, late, live, draining, ready, nodes, late_pools),
        "worker_pools": tuple(WorkerPoolReading(*row[:7]) for row in rows),
    }


def _worker(row: Row, lease: LeaseSection) -> WorkerReading:
    progress = row[9] if isinstance(row[9], dict) else {}
    fraction, message = progress.get("fraction"), progress.get("message")
    known = float(fraction) if isinstance(fraction, int | float) else None
    values: tuple[Any, ...] = (*row[:9], known, str(message) if message else None, *row[10:14], is_late(row[13], lease))
    values += tuple(None if names is None else tuple(names) for names in row[14:16])
    return WorkerReading(*values)


def _missing(look: BrokerLook) -> tuple[str, ...]:
    return tuple(name for name, found in look.queues.items() if found is None and name not in look.down)


def _queues(look: BrokerLook | None) -> dict[str, Any]:
    if look is None:
        return {"queue": None, "queues": None}
    found = look.queues.items()
    queues = tuple(QueueReading(name, one.ready, one.consumers) for name, one in found if one)
    main = look.queues[QUEUE]
    return {"queue": BrokerReading(main.ready, main.consumers) if main else None, "queues": queues}


def _backlog(backlog: BacklogReading) -> dict[str, Any]:
    by_priority, by_type = [0] * 10, dict[str, int]()
    for task_type, priority, due, count, _ in backlog.counts:
        if due:
            by_priority[priority] += count
            by_type[task_type] = by_type.get(task_type, 0) + count
    depth = Depth(
        pending=sum(by_priority),
        later=sum(count for _, _, due, count, _ in backlog.counts if not due),
        in_progress=backlog.in_progress,
        by_priority=tuple(by_priority),
        by_type=tuple(sorted(by_type.items(), key=lambda item: -item[1])),
        oldest_seconds=max((age for _, _, due, _, age in backlog.counts if due), default=None),
        more=backlog.more,
    )
    coming = [_queued(row) for row in backlog.coming]
    following = sorted(
        (task for task in coming if task.due), key=lambda task: (-task.priority, task.due_at, task.task_id)
    )
    later = sorted((task for task in coming if not task.due), key=lambda task: (task.due_at, task.task_id))
    return {"depth": depth, "next_tasks": tuple(following), "later_tasks": tuple(later)}


def _queued(row: Row) -> QueuedTask:
    task_id, task_type, priority, submitted_at, due_at, due, attempts, tags = row
    return QueuedTask(task_id, task_type, priority, submitted_at, due_at, due, attempts, tuple(tags))


def _failures(failed: Sequence[Row], recent: Recent, limit: int) -> tuple[Failure, ...]:
    """Merge failed tasks and tasks waiting for a retry, newest first, each task once."""
    rows = {row[0]: row for row in (*recent.retrying, *failed)}
    newest = sorted(rows.values(), key=lambda row: str(row[3]), reverse=True)[:limit]
    return tuple(
        Failure(task_id, task_type, Status(status), at, message) for task_id, task_type, status, at, message in newest
    )


def _latency(recent: Recent) -> Latency:
    wait, run = recent.wait or (None, None), recent.run or (None, None)
    return Latency(wait[0], wait[1], run[0], run[1])
