"""Readings for tests: a healthy one, and copies with changed fields."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from dtqs.config import LeaseSection
from dtqs.readings import (
    BrokerReading,
    Depth,
    Health,
    KeeperReading,
    Latency,
    Reading,
    SystemTotals,
    WorkerCounts,
    WorkerPoolReading,
    WorkerReading,
)
from dtqs.readings.alarms import Seen

WORKER = WorkerReading("w1", "node", "default", 0, 42, "ready", None, None, None, None, None, 64 << 20, 7, 0, 1.0)
HEALTHY = Reading(
    at=1000.0,
    database=Health("PostgreSQL", "ok", "version 15.1", 0.001),
    broker=Health("RabbitMQ", "ok", "version 3.10.8", 0.002),
    workers=(WORKER,),
    processes=(KeeperReading("k1", "keeper", "node", 1.0),),
    totals=SystemTotals(10, 10, 8, 1, 0, 1, 0, 10, 0),
    depth=Depth(0, 0, 0, (0,) * 10, (), None, False),
    next_tasks=(),
    later_tasks=(),
    failures=(),
    latency=Latency(None, None, None, None),
    queue=BrokerReading(0, 1),
    alarms=(),
    worker_counts=WorkerCounts(1, 0, 0, 1, 0, 1, 1, 0),
    worker_pools=(WorkerPoolReading("node", "default", 1, 0, 0, None, 1.0),),
)


def changed(**fields: Any) -> Reading:
    """Return the healthy reading with these fields changed, and with the counts of its workers."""
    if "workers" in fields:
        fields = counted(fields["workers"]) | fields
    return dataclasses.replace(HEALTHY, **fields)


def counted(workers: Sequence[WorkerReading] | None) -> dict[str, Any]:
    """Return what PostgreSQL counts of these workers."""
    if workers is None:
        return {"worker_counts": None, "worker_pools": None}
    groups: dict[tuple[str, str], list[WorkerReading]] = {}
    for worker in workers:
        groups.setdefault((worker.node_name, worker.pool), []).append(worker)
    pools = tuple(
        WorkerPoolReading(
            node, pool, len(members), sum(one.task_id is not None for one in members), sum(one.late for one in members),
            min((one.slot for one in members if one.late), default=None), max(one.age_seconds for one in members),
        )
        for (node, pool), members in groups.items()
    )  # fmt: skip
    live = [one for one in workers if one.age_seconds <= LeaseSection().lease_seconds]
    counts = WorkerCounts(
        workers=len(workers),
        busy=sum(pool.busy for pool in pools),
        late=sum(pool.late for pool in pools),
        live=len(live),
        draining=sum(one.state == "draining" for one in live),
        ready=sum(one.state == "ready" for one in workers),
        nodes=len({node for node, _ in groups}),
        late_pools=sum(pool.late > 0 for pool in pools),
    )
    return {"worker_counts": counts, "worker_pools": tuple(sorted(pools, key=lambda pool: -pool.late))}


def waiting(count: int, oldest_seconds: float) -> Depth:
    return Depth(count, 0, 0, (0, 0, 0, 0, 0, count, 0, 0, 0, 0), (("echo", count),), oldest_seconds, False)


def seen(**fields: Any) -> Seen:
    """Return the facts that accompany a healthy reading, with these fields changed."""
    healthy = Seen(
        HEALTHY.database, HEALTHY.broker, missing_queues=(), blocked=False, quiet_seconds=0.0, lease=LeaseSection()
    )
    return dataclasses.replace(healthy, **fields)
