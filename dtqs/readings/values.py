"""Frozen values of one reading of the whole system, for console, web page and command line."""

from dataclasses import dataclass
from typing import Any

from dtqs.given_up import GivenUpSlots
from dtqs.task import Status


@dataclass(frozen=True, slots=True)
class Health:
    """Health of one server. `state` is ok or away; `words` gives the fault, or the version."""

    name: str
    state: str
    words: str
    latency_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerReading:
    """One worker process. `fraction` and `message` are its task's last progress.

    `age_seconds` is the time since its heartbeat; `late` marks it as too long.
    """

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
    """Task types that it runs; null for a worker of an old version, which does not report them."""
    queues: tuple[str, ...] | None = None
    """Queues that it consumes; null likewise."""


@dataclass(frozen=True, slots=True)
class WorkerPoolReading:
    """The workers of one pool on one node. `longest_seconds` is the age of the oldest heartbeat."""

    node_name: str
    pool: str
    workers: int
    busy: int
    late: int
    late_slot: int | None
    """The first slot with a late worker."""
    longest_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """Numbers of all workers, also of those beyond the newest 500 in a reading."""

    workers: int
    busy: int
    """Those with a task."""
    late: int
    live: int
    """Those whose heartbeat is younger than the lease time."""
    draining: int
    """Those of the live ones that drain."""
    ready: int
    nodes: int
    late_pools: int
    """Pairs of node and pool with a late worker."""


@dataclass(frozen=True, slots=True)
class KeeperReading:
    """One keeper or API process, from its counters."""

    process_id: str
    role: str
    node_name: str
    age_seconds: float
    given_up: tuple[GivenUpSlots, ...] = ()
    """The slots of a keeper's node whose children ended too often before they were ready."""
    unkept: tuple[str, ...] = ()
    """The queues whose hints RabbitMQ does not keep, as this keeper sees it."""


@dataclass(frozen=True, slots=True)
class SystemTotals:
    """Sums over all processes, also past ones. Rates are differences of two readings."""

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
    """The backlog: `pending` tasks are due, `later` ones are scheduled or wait for a retry.

    A bounded number of rows is counted; `more` means that rows were left out.
    """

    pending: int
    later: int
    in_progress: int
    by_priority: tuple[int, ...]
    """Pending tasks; the index is the priority, 0 to 9."""
    by_type: tuple[tuple[str, int], ...]
    oldest_seconds: float | None
    """Time for which the oldest pending task has been due."""
    more: bool


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A waiting task: due, scheduled (attempts == 0) or before a retry."""

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
    """One row of the log of all tasks."""

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
    """Percentiles of the last completed tasks in seconds: `wait` from due to start, `run` from start to end.

    Null if no task has completed recently.
    """

    wait_p50: float | None
    wait_p95: float | None
    run_p50: float | None
    run_p95: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that failed recently, with its error message."""

    task_id: str
    task_type: str
    status: Status
    at: str
    message: str | None


@dataclass(frozen=True, slots=True)
class BrokerReading:
    """The task queue in RabbitMQ. Each message is a hint for one or more tasks."""

    ready: int
    consumers: int


@dataclass(frozen=True, slots=True)
class QueueReading:
    """A queue of the routes that exists in RabbitMQ. Each message is a hint for one or more tasks."""

    name: str
    ready: int
    consumers: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The whole system. A lost server leaves its parts empty (None); `database` and `broker` report the loss."""

    at: float
    """Unix time by the reader's clock."""
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
    """Alarms as sentences, the most serious first; empty if healthy."""
    more_workers: int = 0
    """Number of workers beyond the newest 500 in `workers`."""
    queues: tuple[QueueReading, ...] | None = None
    """All queues of the routes; task_queue is the first."""
    worker_counts: WorkerCounts | None = None
    worker_pools: tuple[WorkerPoolReading, ...] | None = None
    """At most 500, those with most late workers first."""
    clock_ahead_seconds: float | None = None
    """PostgreSQL's clock minus the reader's. Times of tasks are PostgreSQL's."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Tasks per second between two readings."""

    submitted: float
    started: float
    completed: float
    failed: float
    retried: float
