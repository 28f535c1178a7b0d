"""Measure the costs behind docs/scaling.md: processor time, write-ahead log and disk of a task and of a heartbeat.

    python bench/capacity.py [--tasks 100000]

A fiftieth as many heavy tasks run, each claimed alone. An API process gets an event for each of those.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cpu import Meter
from http_load import Clients, post, times, tiny
from product import Product, running
from report import machine, print_columns
from rig import Rig, say

from dtqs.store import Store
from dtqs.store.workers import WorkerIdentity, WorkerReport
from dtqs.uuid7 import uuid7

_ARRAY, _ARRAY_CONNECTIONS, _SINGLE_CONNECTIONS = 500, 4, 64
_HEAVY_SHARE, _SINGLES_SHARE = 50, 5
_HEAVY: Mapping[str, object] = {"payload": {"sleep_seconds": 0}}
_WORKERS = 2
_BEATS = 2_000
_GROUPS = ("PostgreSQL", "RabbitMQ", "API", "workers")
_SIZE = "SELECT pg_database_size(current_database())"


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one unit of a kind of work: bytes of log, bytes on disk, and microseconds of each group."""

    kind: str
    wal_bytes: float
    disk_bytes: float
    microseconds: Mapping[str, float]

    def row(self) -> list[str]:
        spent = [f"{self.microseconds[name]:,.0f}" if name in self.microseconds else "" for name in _GROUPS]
        return [self.kind, f"{self.wal_bytes:,.0f}", f"{self.disk_bytes:,.0f}", *spent]


def measure(rig: Rig, product: Product, kind: str, count: int, work: Callable[[], None]) -> Cost:
    """Run work of `count` units and return the cost of each."""
    roots = {"PostgreSQL": rig.postgres.pid, "RabbitMQ": rig.rabbitmq.pid, "API": product.server.pid}
    if kind.endswith("finished"):
        roots["workers"] = product.supervisor_pid
    position, size = product.value("SELECT pg_current_wal_lsn()::text"), product.value(_SIZE)
    meter = Meter(roots)
    work()
    spent = meter.per_task(count)
    written = product.value(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{position}')")
    say(f"  {kind}")
    return Cost(kind, float(written) / count, float(product.value(_SIZE) - size) / count, spent)


def of_tasks(rig: Rig, name: str, count: int, array: int | None, fields: Mapping[str, object]) -> list[Cost]:
    """Submit tasks with the workers stopped, then let two workers finish them."""
    with running(rig) as product:
        connections = _ARRAY_CONNECTIONS if array else _SINGLE_CONNECTIONS
        request = post("/submit", tiny(array, **fields), product.key)

        def submit() -> None:
            with Clients(product.port, connections) as clients:
                clients.run(times(request, count // (array or 1)))
            product.wait_settled()

        costs = [measure(rig, product, f"{name}, submitted", count, submit)]
        product.start_workers(_WORKERS)
        product.wait_workers(1)
        costs.append(measure(rig, product, f"{name}, finished", count, product.wait_drained))
        return costs


def heartbeats(rig: Rig) -> Cost:
    """Beat for one worker, as its heartbeat thread does."""
    with running(rig) as product:
        config = product.config
        store = Store(config.postgresql, config.lease, 1, "bench")
        store.start()
        worker_id = uuid7()
        store.workers.register(WorkerIdentity(worker_id, uuid7(), uuid7(), "bench", "default", 1, 1))
        report = WorkerReport("ready", None, None, None, 0, 0, 0)

        def beat() -> None:
            for _ in range(_BEATS):
                store.workers.beat(worker_id, report)

        try:
            return measure(rig, product, "heartbeat", _BEATS, beat)
        finally:
            store.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000, help="tasks in arrays, a multiple of 25,000")
    count = parser.parse_args().tasks
    with Rig() as rig:
        costs = [
            *of_tasks(rig, "light, in arrays", count, _ARRAY, {}),
            *of_tasks(rig, "light, singly", count // _SINGLES_SHARE, None, {}),
            *of_tasks(rig, "heavy, in arrays", count // _HEAVY_SHARE, _ARRAY, _HEAVY),
            heartbeats(rig),
        ]
    print(machine())
    print_columns(
        [["one", "WAL, bytes", "disk, bytes", *(f"{name}, µs" for name in _GROUPS)], *(cost.row() for cost in costs)]
    )


if __name__ == "__main__":
    main()
