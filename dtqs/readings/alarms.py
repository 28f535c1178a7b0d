"""What is wrong, in words for people, worst first; pure. What counts as wrong is said here and nowhere else."""

from collections.abc import Iterator
from dataclasses import dataclass

from dtqs.amounts import age, plural
from dtqs.config import LeaseSection
from dtqs.readings.values import Health, Reading

LATE_SECONDS = 60.0
"""A task that is due for longer is worth a word."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reading has no field for. `quiet_seconds`: for so long nobody has claimed a task, as far as the reader has seen."""

    database: Health
    broker: Health
    queue_is_missing: bool
    blocked: bool
    quiet_seconds: float
    lease: LeaseSection
    refusal: str | None = None
    """Why RabbitMQ refuses messages, in its words."""
    read_only: bool = False
    """PostgreSQL takes no writes."""


def alarms(reading: Reading, seen: Seen) -> tuple[str, ...]:
    """Return what is wrong; nothing where all is well."""
    return (*_servers(seen), *_processes(reading, seen), *_types(reading, seen), *_tasks(reading, seen))


def is_late(age_seconds: float, lease: LeaseSection) -> bool:
    """Judge a worker by the age of its heartbeat."""
    return age_seconds > 3 * lease.heartbeat_seconds + 1


def _servers(seen: Seen) -> Iterator[str]:
    if seen.database.state == "away":
        yield "PostgreSQL is away: nothing can be submitted, and no task begins or ends"
    if seen.broker.state == "away":
        yield "RabbitMQ is away: tasks are accepted and wait"
    if seen.read_only:
        yield "PostgreSQL is read-only: nothing can be submitted, and no task begins or ends"
    if seen.refusal:
        yield f"RabbitMQ refuses messages: {seen.refusal}. No task is handed out; give its user the permissions"
    if seen.blocked:
        yield "RabbitMQ takes no messages (its alarm of memory or disk): tasks are accepted and wait"
    if seen.queue_is_missing:
        yield "task_queue is missing in RabbitMQ: a worker or keeper declares it as soon as one runs"


def _processes(reading: Reading, seen: Seen) -> Iterator[str]:
    if reading.workers is not None:
        live = [worker for worker in reading.workers if worker.age_seconds <= seen.lease.lease_seconds]
        if not live:
            yield "no worker is running: start one with dtqs supervisor, or dtqs up"
        elif all(worker.state == "draining" for worker in live):
            yield "no worker takes tasks: all of them are draining"
        for worker in reading.workers:
            if worker.late:
                yield f"worker {worker.pool}/{worker.slot} on {worker.node_name} gave no heartbeat for {age(worker.age_seconds)}"
    if reading.processes is not None:
        keepers = [
            process
            for process in reading.processes
            if process.role == "keeper" and process.age_seconds <= seen.lease.lease_seconds
        ]
        if not keepers:
            yield "no keeper is running: what a dead worker held is not taken back, and what is scheduled does not start"


def _types(reading: Reading, seen: Seen) -> Iterator[str]:
    """Name each type that waits and that no worker does; nothing where that is not known of every worker."""
    live = [worker for worker in reading.workers or () if worker.age_seconds <= seen.lease.lease_seconds]
    known = [worker.task_types for worker in live]
    if reading.depth is None or not live or reading.more_workers or None in known:
        return
    done = {name for types in known for name in types or ()}
    for task_type, count in reading.depth.by_type:
        if task_type not in done:
            yield f"no worker does the task type {task_type}, and {plural(count, 'task')} of it wait: install it where the workers run, and restart them"


def _tasks(reading: Reading, seen: Seen) -> Iterator[str]:
    depth, workers = reading.depth, reading.workers
    if depth is None or not workers or not depth.pending or depth.oldest_seconds is None:
        return
    # while nothing waited there was nothing to take
    quiet_seconds = min(seen.quiet_seconds, depth.oldest_seconds)
    if quiet_seconds >= max(10.0, 3 * seen.lease.heartbeat_seconds) and any(
        worker.state == "ready" for worker in workers
    ):
        yield f"no worker has taken a task for {age(quiet_seconds)}, and {depth.pending:,} wait"
    elif depth.oldest_seconds >= LATE_SECONDS:
        busy = all(worker.state == "busy" for worker in workers)
        yield f"a task has been due for {age(depth.oldest_seconds)}" + (": all workers are busy" if busy else "")
