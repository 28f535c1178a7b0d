"""One reading of the whole system, for console, web and command line: what PostgreSQL and RabbitMQ say at one moment, in frozen values."""

from dataclasses import dataclass
from typing import Any

from dtqs.task import Status


@dataclass(frozen=True, slots=True)
class Health:
    """One server as the reader met it. `state` is ok or away; `words` says what is wrong, or what it is (version, latency)."""

    name: str
    state: str
    words: str
    latency_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerReading:
    """One worker process. `age_seconds` since its heartbeat, `late`: too long; `fraction` and `message`: its task's last progress, null where there is none."""

    worker_id: str
    node_name: str
    pool: str
    slot: int
    pid: int
    state: str
    task_id: str | None
    task_type: str | None
    busy_seconds: float | None
    fraction: float | None
    message: str | None
    memory_bytes: int | None
    completed: int
    failed: int
    age_seconds: float
    late: bool = False
    task_types: tuple[str, ...] | None = None
    """Those that it does; null: it is of a version that does not say."""


@dataclass(frozen=True, slots=True)
class KeeperReading:
    """One keeper or API process, from its counters."""

    process_id: str
    role: str
    node_name: str
    age_seconds: float


@dataclass(frozen=True, slots=True)
class SystemTotals:
    """Sums over all processes, the folded ones of the past included: rates are differences of two readings."""

    submitted: int
    claimed: int
    completed: int
    failed: int
    cancelled: int
    retried: int
    given_back: int
    published: int
    reclaimed: int


@dataclass(frozen=True, slots=True)
class Depth:
    """The backlog. `pending` are due; `later` are scheduled or wait for their retry. Looked at is a bounded number of rows; `more`: there are more."""

    pending: int
    later: int
    in_progress: int
    by_priority: tuple[int, ...]
    """Index is the priority, 0 to 9; due ones only."""
    by_type: tuple[tuple[str, int], ...]
    oldest_seconds: float | None
    """Since when the task that is due for longest could have run."""
    more: bool


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task that waits: due, scheduled (attempts == 0) or retrying."""

    task_id: str
    task_type: str
    priority: int
    submitted_at: str
    due_at: str
    due: bool
    attempts: int
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SystemLogRow:
    """A row of the log, of any task."""

    log_id: int
    at: str
    task_id: str
    task_type: str | None
    event: str
    attempt: int | None
    level: str
    message: str | None
    data: Any


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the tasks that completed last: from due to start, and from start to end, in seconds: median and 95th percentile. Null where none did of late."""

    wait_p50: float | None
    wait_p95: float | None
    run_p50: float | None
    run_p95: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that failed lately, and why."""

    task_id: str
    task_type: str
    status: Status
    at: str
    message: str | None


@dataclass(frozen=True, slots=True)
class BrokerReading:
    """The task queue: messages are hints, of one or more tasks each."""

    ready: int
    consumers: int


@dataclass(frozen=True, slots=True)
class Reading:
    """All of it. A part is None where its server is away: `database` and `broker` say so."""

    at: float
    """Unix time of the reader's clock."""
    database: Health
    broker: Health
    workers: tuple[WorkerReading, ...] | None
    processes: tuple[KeeperReading, ...] | None
    totals: SystemTotals | None
    depth: Depth | None
    next_tasks: tuple[QueuedTask, ...] | None
    later_tasks: tuple[QueuedTask, ...] | None
    failures: tuple[Failure, ...] | None
    latency: Latency | None
    queue: BrokerReading | None
    alarms: tuple[str, ...]
    """What is wrong, in words, worst first; empty: healthy."""
    more_workers: int = 0
    """How many there are beside those in `workers`, which are the newest 500."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Tasks a second, over the last seconds between two readings."""

    submitted: float
    started: float
    completed: float
    failed: float
    retried: float
