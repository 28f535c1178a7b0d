"""Rows of workers and counters of all processes: register, beat, count, and the facts to judge a worker dead."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dtqs.errors import WorkerDied
from dtqs.event import LogRef
from dtqs.scoreboard import Death
from dtqs.store.driver.database import Database
from dtqs.store.driver.statements import array
from dtqs.store.leases import Leases


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """The identity of a worker process. `worker_id` is new for each process."""

    worker_id: str
    node_id: str
    boot_id: str
    node_name: str
    pool: str
    slot: int
    pid: int
    task_types: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """The contents of a heartbeat. `busy_seconds`: since the running task began. An idle worker has no task fields."""

    state: str
    task_id: str | None
    task_type: str | None
    busy_seconds: float | None
    memory_bytes: int
    completed: int
    failed: int


@dataclass(slots=True)
class ProcessTotals:
    """Totals of a process since its start, in tasks."""

    submitted: int = 0
    claimed: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    given_back: int = 0
    published: int = 0
    reclaimed: int = 0


class Workers:
    def __init__(self, database: Database, leases: Leases) -> None:
        self._database, self._leases = database, leases

    def register(self, identity: WorkerIdentity) -> None:
        """Store the row of a worker. Raises StoreUnavailable."""
        types = None if identity.task_types is None else array(identity.task_types)
        self._database.run("register_worker", {**dataclasses.asdict(identity), "task_types": types})

    def beat(self, worker_id: str, report: WorkerReport) -> bool:
        """Write a heartbeat. False: this worker is marked dead and must stop at once. Raises StoreUnavailable."""
        return bool(self._database.run_once("beat", {"worker_id": worker_id, **dataclasses.asdict(report)}))

    def retire(self, worker_id: str) -> list[LogRef]:
        """Mark an idle worker dead at its regular end. Raises StoreUnavailable.

        A claim whose reply was lost may have left a lease, or be in flight. Its tasks are given back and returned.
        """
        return (
            self._leases.reclaim(worker_id, WorkerDied("retired"), Death(worker_id, "retired", None, idle=True)) or []
        )

    def heartbeats(self) -> dict[str, str]:
        """Return the last heartbeat of each worker that is not marked dead. Raises StoreUnavailable.

        Compare it only with an earlier heartbeat of the same worker, never with a clock.
        """
        return dict(self._database.run_once("heartbeats"))

    def vouch(self, seen: Mapping[str, str]) -> dict[str, str]:
        """Write these workers' heartbeats if they are still as seen; return the new ones. Raises StoreUnavailable."""
        parameters = {"ids": array(list(seen)), "seen": list(seen.values())}
        return dict(self._database.run_once("vouch", parameters))

    def former(self, node_id: str, boot_id: str) -> list[str]:
        """Return the workers of this node from before its supervisor started. Raises StoreUnavailable."""
        return [row[0] for row in self._database.run("former_workers", {"node_id": node_id, "boot_id": boot_id})]

    def dead(self, worker_ids: Sequence[str]) -> dict[str, bool]:
        """Return, for each of these workers that has a row, whether it is marked dead. Raises StoreUnavailable."""
        return {row[0]: row[1] for row in self._database.run("dead_workers", {"ids": array(worker_ids)})}

    def count(self, process_id: str, role: str, node_name: str, totals: ProcessTotals) -> None:
        """Write a process's totals. Raises StoreUnavailable."""
        self._database.run_once(
            "count", {"process_id": process_id, "role": role, "node_name": node_name, **dataclasses.asdict(totals)}
        )
