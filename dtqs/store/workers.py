"""Rows of workers and counters of all processes: register, beat, count, and the facts to judge a worker dead."""

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from dtqs.errors import WorkerDied
from dtqs.event import LogRef
from dtqs.event_seal import KEY_BYTES, key_of
from dtqs.scoreboard import Death
from dtqs.store.driver.database import Database
from dtqs.store.driver.statements import array, text_array
from dtqs.store.leases import Leases
from dtqs.tally import Tally


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
    queues: tuple[str, ...] | None = None
    lease_seconds: float | None = None
    """The time that it counts on after a heartbeat. Nobody may take its leases before."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat of a worker, as the database's text, and its own lease time; 0: older code has not told it."""

    at: str
    lease_seconds: float = 0.0


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
    tally: Tally = field(default_factory=Tally)
    """Counts with labels, and times, for /metrics."""
    routes: str = ""
    """The routes by which this process publishes hints."""


COUNTED = tuple(each.name for each in dataclasses.fields(ProcessTotals) if each.name not in ("tally", "routes"))
"""The totals that have a column of their own."""


class Workers:
    def __init__(self, database: Database, leases: Leases) -> None:
        self._database, self._leases = database, leases

    def register(self, identity: WorkerIdentity) -> None:
        """Store the row of a worker. Raises StoreUnavailable."""
        lists = {
            "task_types": None if identity.task_types is None else text_array(identity.task_types),
            "queues": None if identity.queues is None else text_array(identity.queues),
        }
        self._database.run("register_worker", dataclasses.asdict(identity) | lists)

    def beat(self, worker_id: str, report: WorkerReport) -> bool:
        """Write a heartbeat. False: this worker is marked dead and must stop at once. Raises StoreUnavailable."""
        return bool(self._database.run_once("beat", {"worker_id": worker_id, **dataclasses.asdict(report)}))

    def event_key(self, make: bool = False) -> bytes | None:
        """Return the key that signs outcomes in events, or None. With `make`, a missing key is made.

        Raises StoreUnavailable.
        """
        rows = self._database.run_once("setting", {"name": "event_key"})
        if not rows and make:
            self._database.run_once("event_key", {"offered": secrets.token_hex(KEY_BYTES)})
            rows = self._database.run_once("setting", {"name": "event_key"})
        return key_of(rows[0][0]) if rows else None

    def retire(self, worker_id: str) -> list[LogRef]:
        """Mark an idle worker dead at its regular end. Raises StoreUnavailable.

        A claim whose reply was lost may have left a lease, or be in flight. Its tasks are given back and returned.
        """
        return (
            self._leases.reclaim(worker_id, WorkerDied("retired"), Death(worker_id, "retired", None, idle=True)) or []
        )

    def heartbeats(self) -> dict[str, Heartbeat]:
        """Return the last heartbeat of each worker that is not marked dead. Raises StoreUnavailable.

        Compare it only with an earlier heartbeat of the same worker, never with a clock.
        """
        return {row[0]: Heartbeat(row[1], float(row[2])) for row in self._database.run_once("heartbeats")}

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

    def count(self, process_id: str, role: str, node_name: str, totals: ProcessTotals, ends: bool = False) -> None:
        """Write a process's totals. `ends`: it has no present values any more. Raises StoreUnavailable."""
        self._note_pool(role, totals.tally)
        counts = {name: getattr(totals, name) for name in COUNTED}
        metrics = orjson.dumps(totals.tally.values(ends)).decode()
        facts = {"process_id": process_id, "role": role, "node_name": node_name, "metrics": metrics}
        self._database.run_once("count", facts | counts | {"routes": None if ends else totals.routes})

    def _note_pool(self, role: str, tally: Tally) -> None:
        use = self._database.pool_use()
        tally.set(f"=processes|{role}", 1)
        tally.set(f"=pool|{role}|open", use.open)
        tally.set(f"=pool|{role}|waiting", use.waiting)
        tally.set(f"pool_waits|{role}", use.waits)
        tally.set(f"pool_wait_seconds|{role}", use.wait_seconds)
