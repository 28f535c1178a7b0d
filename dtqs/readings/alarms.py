"""Alarms as sentences, the most serious first; pure. Only this module decides which condition is an alarm."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dtqs import unkept
from dtqs.amounts import age, plural
from dtqs.config import LeaseSection
from dtqs.given_up import GivenUpSlots, words_of
from dtqs.readings.values import Health, Reading, WorkerCounts, WorkerPoolReading

LATE_SECONDS = 60.0
"""A task that is due for longer raises an alarm."""
_MOST_ALIKE = 3
"""Most alarms, and names in one alarm, that one cause makes."""


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
    return age_seconds > late_after(lease)


def late_after(lease: LeaseSection) -> float:
    """Return the age of a heartbeat from which its worker is late."""
    return 3 * lease.heartbeat_seconds + 1


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
    yield from _down(seen.down_queues)
    yield from _missing(seen.missing_queues)


def _down(queues: Mapping[str, str]) -> Iterator[str]:
    """Say it once for all queues, whose common cause is a node that is down."""
    words = next(iter(queues.values()), "")
    if len(queues) == 1:
        yield f"RabbitMQ: {words}: its tasks wait; start that node, or use quorum queues"
    elif queues:
        yield (
            f"RabbitMQ: {len(queues)} queues are down ({_some(queues)}), for example: {words}: "
            "their tasks wait; start the nodes that are down, or use quorum queues"
        )


def _missing(queues: Sequence[str]) -> Iterator[str]:
    if len(queues) == 1:
        yield f"{queues[0]} is missing in RabbitMQ: start a worker or keeper, which declares it"
    elif queues:
        yield (
            f"{len(queues)} queues are missing in RabbitMQ ({_some(queues)}): "
            "start a worker or keeper, which declares them"
        )


def _processes(reading: Reading, seen: Seen) -> Iterator[str]:
    if (counts := reading.worker_counts) is not None:
        # pools that scale to zero have no workers while no task is due
        is_due = reading.depth is not None and (reading.depth.pending > 0 or reading.depth.more)
        if is_due and not counts.live:
            yield "no worker is running, and tasks are due: start one with dtqs supervisor or dtqs up"
        elif is_due and counts.draining == counts.live:
            yield "no worker takes tasks, and tasks are due: all workers are draining"
        yield from _late(counts, [pool for pool in reading.worker_pools or () if pool.late])
    if reading.processes is not None:
        keepers = [
            process
            for process in reading.processes
            if process.role == "keeper" and process.age_seconds <= seen.lease.lease_seconds
        ]
        if not keepers:
            yield "no keeper is running: scheduled tasks do not start; tasks of dead workers stay in progress"
        # for a while a killed keeper tells the same as its successor
        yield from _given_up(
            list(dict.fromkeys((each.node_name, slots) for each in keepers for slots in each.given_up))
        )


def _late(counts: WorkerCounts, pools: Sequence[WorkerPoolReading]) -> Iterator[str]:
    """Say it once for a node and pool, and once for many of them: a slow database makes all workers late."""
    if counts.late_pools > _MOST_ALIKE:
        longest = age(max(pool.longest_seconds for pool in pools))
        where = _some([f"{pool.pool} on {pool.node_name}" for pool in pools], counts.late_pools)
        yield (
            f"{counts.late:,} of {plural(counts.workers, 'worker')} have sent no heartbeat, the longest for {longest}: "
            f"pool {where}"
        )
        return
    for pool in pools:
        longest = age(pool.longest_seconds)
        if pool.late == 1:
            yield f"worker {pool.pool}/{pool.late_slot} on {pool.node_name} has sent no heartbeat for {longest}"
        else:
            yield (
                f"{pool.late:,} workers of pool {pool.pool} on {pool.node_name} have sent no heartbeat, "
                f"the longest for {longest}"
            )


def _given_up(found: Sequence[tuple[str, GivenUpSlots]]) -> Iterator[str]:
    """Name each group of slots, or the nodes if these are many: a wrong release does it to each node."""
    if len(found) <= _MOST_ALIKE:
        yield from (words_of(node, slots) for node, slots in found)
        return
    nodes = list(dict.fromkeys(node for node, _ in found))
    count, reason = sum(slots.count for _, slots in found), found[0][1].reason
    yield (
        f"{plural(count, 'slot')} on {plural(len(nodes), 'node')} ({_some(nodes)}) are given up, because their "
        f"children ended before they were ready, for example: {reason}; dtqs ctl reload on each node tries again"
    )


def _unkept(reading: Reading, seen: Seen) -> Iterator[str]:
    """Name the queues that keep no hints, unless they are known to be down."""
    queues = sorted({queue for process in reading.processes or () for queue in process.unkept} - set(seen.down_queues))
    if queues:
        whose = "its" if len(queues) == 1 else "their"
        yield f"RabbitMQ: {unkept.words_of(_some(queues))}: {whose} tasks wait; start the nodes that are down"


def _types(reading: Reading, seen: Seen) -> Iterator[str]:
    """Name the pending task types without a worker. Say nothing unless the types of all workers are known."""
    live = [worker for worker in reading.workers or () if worker.age_seconds <= seen.lease.lease_seconds]
    known = [worker.task_types for worker in live]
    if reading.depth is None or not live or reading.more_workers or None in known:
        return
    done = {name for types in known for name in types or ()}
    missing = {task_type: count for task_type, count in reading.depth.by_type if task_type not in done}
    waiting = plural(sum(missing.values()), "task")
    if len(missing) == 1:
        advice = "install it, or let a [pool:NAME] take it, and restart the workers"
        yield f"no worker runs the task type {_some(missing)} ({waiting} pending): {advice}"
    elif missing:
        advice = "install them, or let a [pool:NAME] take them, and restart the workers"
        yield f"no worker runs the {len(missing)} task types {_some(missing)} ({waiting} pending): {advice}"


def _queues(reading: Reading, seen: Seen) -> Iterator[str]:
    """Name the queues with messages that no worker takes. A busy worker consumes nothing; its row names its queues."""
    live = [worker for worker in reading.workers or () if worker.age_seconds <= seen.lease.lease_seconds]
    if not live or reading.more_workers or any(worker.queues is None for worker in live):
        return
    taken = {name for worker in live for name in worker.queues or ()}
    left = {
        queue.name: queue.ready
        for queue in reading.queues or ()
        if queue.ready and not queue.consumers and queue.name not in taken
    }
    waiting = plural(sum(left.values()), "message")
    if len(left) == 1:
        yield f"no worker takes from {_some(left)} ({waiting}): give a [pool:NAME] this queue, or change [routes]"
    elif left:
        advice = "give a [pool:NAME] these queues, or change [routes]"
        yield f"no worker takes from {len(left)} queues: {_some(left)} ({waiting}): {advice}"


def _tasks(reading: Reading, seen: Seen) -> Iterator[str]:
    depth, counts = reading.depth, reading.worker_counts
    if depth is None or counts is None or not counts.workers or not depth.pending or depth.oldest_seconds is None:
        return
    # Without a pending task there was nothing to claim.
    quiet_seconds = min(seen.quiet_seconds, depth.oldest_seconds)
    if quiet_seconds >= max(10.0, 3 * seen.lease.heartbeat_seconds) and counts.ready:
        yield f"no worker has claimed a task for {age(quiet_seconds)}, and {depth.pending:,} are pending"
    elif depth.oldest_seconds >= LATE_SECONDS:
        busy = ": all workers are busy" if counts.busy == counts.workers else ""
        yield f"a task has been due for {age(depth.oldest_seconds)}{busy}"


def _some(names: Collection[str], count: int | None = None) -> str:
    """Write the first few names, and the number of the others. `count`: the number of all, if some are not here."""
    left = (count or len(names)) - _MOST_ALIKE
    text = ", ".join(list(names)[:_MOST_ALIKE])
    return f"{text} and {left:,} more" if left > 0 else text
