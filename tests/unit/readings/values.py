"""Readings for tests: a healthy one, and copies with changed fields."""

import dataclasses
from typing import Any

from dtqs.config import LeaseSection
from dtqs.readings import BrokerReading, Depth, Health, KeeperReading, Latency, Reading, SystemTotals, WorkerReading
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
)


def changed(**fields: Any) -> Reading:
    return dataclasses.replace(HEALTHY, **fields)


def waiting(count: int, oldest_seconds: float) -> Depth:
    return Depth(count, 0, 0, (0, 0, 0, 0, 0, count, 0, 0, 0, 0), (("echo", count),), oldest_seconds, False)


def seen(**fields: Any) -> Seen:
    """Return the facts that accompany a healthy reading, with these fields changed."""
    healthy = Seen(
        HEALTHY.database, HEALTHY.broker, missing_queues=(), blocked=False, quiet_seconds=0.0, lease=LeaseSection()
    )
    return dataclasses.replace(healthy, **fields)
