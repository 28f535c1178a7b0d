"""Workers' rows and everybody's counters: register, beat, count, and who is to be judged dead (leases.py does it)."""

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
    """Who a worker process is. `worker_id` is fresh for every process start."""

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
    """What a heartbeat says. `busy_seconds` since the running task began; null fields while idle."""

    state: str
    task_id: str | None
    task_type: str | None
    busy_seconds: float | None
    memory_bytes: int
    completed: int
    failed: int


@dataclass(slots=True)
class ProcessTotals:
    """What a process has done so far; each counts tasks."""

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
        """Raises StoreUnavailable."""
        types = None if identity.task_types is None else array(identity.task_types)
        self._database.run("register_worker", {**dataclasses.asdict(identity), "task_types": types})

    def beat(self, worker_id: str, report: WorkerReport) -> bool:
        """Write a heartbeat; False: this worker is marked dead and must stop at once. Raises StoreUnavailable."""
        return bool(self._database.run_once("beat", {"worker_id": worker_id, **dataclasses.asdict(report)}))

    def retire(self, worker_id: str) -> list[LogRef]:
        """A worker that runs nothing ends in good order. Raises StoreUnavailable.

        What the database says it holds all the same is given back, and returned: a claim whose reply was lost may still be in flight.
        """
        return (
            self._leases.reclaim(worker_id, WorkerDied("retired"), Death(worker_id, "retired", None, idle=True)) or []
        )

    def heartbeats(self) -> dict[str, str]:
        """Return the last heartbeat of each worker that is not marked dead; told apart, never compared with a clock. Raises StoreUnavailable."""
        return dict(self._database.run_once("heartbeats"))

    def vouch(self, seen: Mapping[str, str]) -> dict[str, str]:
        """Write the heartbeats of these workers where they are still as seen; return those written. Raises StoreUnavailable."""
        parameters = {"ids": array(list(seen)), "seen": list(seen.values())}
        return dict(self._database.run_once("vouch", parameters))

    def former(self, node_id: str, boot_id: str) -> list[str]:
        """Return the workers of this node from before its supervisor started. Raises StoreUnavailable."""
        return [row[0] for row in self._database.run("former_workers", {"node_id": node_id, "boot_id": boot_id})]

    def dead(self, worker_ids: Sequence[str]) -> dict[str, bool]:
        """Tell of those of these workers that have a row whether they are marked dead. Raises StoreUnavailable."""
        return {row[0]: row[1] for row in self._database.run("dead_workers", {"ids": array(worker_ids)})}

    def count(self, process_id: str, role: str, node_name: str, totals: ProcessTotals) -> None:
        """Write a process's totals. Raises StoreUnavailable."""
        self._database.run_once(
            "count", {"process_id": process_id, "role": role, "node_name": node_name, **dataclasses.asdict(totals)}
        )
