"""Alarms as sentences, the most serious first; pure. Only this module decides which condition is an alarm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dtqs import unkept
from dtqs.amounts import age, plural
from dtqs.config import LeaseSection
from dtqs.given_up import words_of
from dtqs.readings.values import Health, Reading

LATE_SECONDS = 60.0
"""A task that is due for longer raises an alarm."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Conditions without a field in a reading. `quiet_seconds` is the time since the reader saw a claim."""

    database: Health
    broker: Health
    missing_queues: tuple[str, ...]
    blocked: bool
    quiet_seconds: float
    lease: LeaseSection
    refusal: str | None = None
    """RabbitMQ's reason for refusing messages."""
    read_only: bool = False
    """PostgreSQL accepts no writes."""
    down_queues: Mapping[str, str] = field(default_factory=dict)
    """Why queues exist and do not serve, by name: an example is a home node that is down."""


def alarms(reading: Reading, seen: Seen) -> tuple[str, ...]:
    """Return the alarms; empty if the system is healthy."""
    work = (*_unkept(reading, seen), *_types(reading, seen), *_queues(reading, seen), *_tasks(reading, seen))
    return (*_servers(seen), *_processes(reading, seen), *work)


def is_late(age_seconds: float, lease: LeaseSection) -> bool:
    """Judge a worker by the age of its heartbeat."""
    return age_seconds > 3 * lease.heartbeat_seconds + 1


def _servers(seen: Seen) -> Iterator[str]:
    if seen.database.state == "away":
        yield "PostgreSQL is away: tasks cannot be submitted, started or finished"
    if seen.broker.state == "away":
        yield "RabbitMQ is away: submitted tasks are accepted and wait"
    if seen.read_only:
        yield "PostgreSQL is read-only: tasks cannot be submitted, started or finished"
    if seen.refusal:
        yield f"RabbitMQ refuses messages: {seen.refusal}. Tasks do not start; grant its user the permissions"
    if seen.blocked:
        yield "RabbitMQ is blocked by a memory or disk alarm: submitted tasks are accepted and wait"
    for words in seen.down_queues.values():
        yield f"RabbitMQ: {words}: its tasks wait; start that node, or use quorum queues"
    for queue in seen.missing_queues:
        yield f"{queue} is missing in RabbitMQ: start a worker or keeper, which declares it"


def _processes(reading: Reading, seen: Seen) -> Iterator[str]:
    if reading.workers is not None:
        live = [worker for worker in reading.workers if worker.age_seconds <= seen.lease.lease_seconds]
        # pools that scale to zero have no workers while no task is due
        is_due = reading.depth is not None and (reading.depth.pending > 0 or reading.depth.more)
        if is_due and not live:
            yield "no worker is running, and tasks are due: start one with dtqs supervisor or dtqs up"
        elif is_due and all(worker.state == "draining" for worker in live):
            yield "no worker takes tasks, and tasks are due: all workers are draining"
        for worker in reading.workers:
            if worker.late:
                name = f"worker {worker.pool}/{worker.slot} on {worker.node_name}"
                yield f"{name} has sent no heartbeat for {age(worker.age_seconds)}"
    if reading.processes is not None:
        keepers = [
            process
            for process in reading.processes
            if process.role == "keeper" and process.age_seconds <= seen.lease.lease_seconds
        ]
        if not keepers:
            yield "no keeper is running: scheduled tasks do not start; tasks of dead workers stay in progress"
        # for a while a killed keeper tells the same as its successor
        yield from dict.fromkeys(words_of(keeper.node_name, slots) for keeper in keepers for slots in keeper.given_up)


def _unkept(reading: Reading, seen: Seen) -> Iterator[str]:
    """Name each queue that keeps no hints, unless it is known to be down."""
    for queue in sorted({queue for process in reading.processes or () for queue in process.unkept}):
        if queue not in seen.down_queues:
            yield f"RabbitMQ: {unkept.words_of(queue)}: its tasks wait; start the nodes that are down"


def _types(reading: Reading, seen: Seen) -> Iterator[str]:
    """Name each pending task type without a worker. Say nothing unless the types of all workers are known."""
    live = [worker for worker in reading.workers or () if worker.age_seconds <= seen.lease.lease_seconds]
    known = [worker.task_types for worker in live]
    if reading.depth is None or not live or reading.more_workers or None in known:
        return
    done = {name for types in known for name in types or ()}
    for task_type, count in reading.depth.by_type:
        if task_type not in done:
            waiting = plural(count, "task")
            advice = "install it, or let a [pool:NAME] take it, and restart the workers"
            yield f"no worker runs the task type {task_type} ({waiting} pending): {advice}"


def _queues(reading: Reading, seen: Seen) -> Iterator[str]:
    """Name each queue with messages that no worker takes. A busy worker consumes nothing; its row names its queues."""
    live = [worker for worker in reading.workers or () if worker.age_seconds <= seen.lease.lease_seconds]
    if not live or reading.more_workers or any(worker.queues is None for worker in live):
        return
    taken = {name for worker in live for name in worker.queues or ()}
    for queue in reading.queues or ():
        if queue.ready and not queue.consumers and queue.name not in taken:
            waiting = plural(queue.ready, "message")
            yield f"no worker takes from {queue.name} ({waiting}): give a [pool:NAME] this queue, or change [routes]"


def _tasks(reading: Reading, seen: Seen) -> Iterator[str]:
    depth, workers = reading.depth, reading.workers
    if depth is None or not workers or not depth.pending or depth.oldest_seconds is None:
        return
    # Without a pending task there was nothing to claim.
    quiet_seconds = min(seen.quiet_seconds, depth.oldest_seconds)
    if quiet_seconds >= max(10.0, 3 * seen.lease.heartbeat_seconds) and any(
        worker.state == "ready" for worker in workers
    ):
        yield f"no worker has claimed a task for {age(quiet_seconds)}, and {depth.pending:,} are pending"
    elif depth.oldest_seconds >= LATE_SECONDS:
        busy = all(worker.state == "busy" for worker in workers)
        yield f"a task has been due for {age(depth.oldest_seconds)}" + (": all workers are busy" if busy else "")
