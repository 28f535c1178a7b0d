"""Leases: claim, finish, settle a part, give back, reclaim. Every write of a worker goes through here."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from dtqs.config import RetrySection
from dtqs.deadline import Deadline
from dtqs.errors import EffectUnknown, LeaseLost, StoreUnavailable, TooManyDeaths, TooManyLosses
from dtqs.event import LogRef
from dtqs.scoreboard import Death
from dtqs.settlement import Kind, Settlement, error_json
from dtqs.store.driver.connection import Row
from dtqs.store.driver.database import Database, Run
from dtqs.store.driver.statements import array, lived_since, text_array
from dtqs.store.earlier import EarlierTry
from dtqs.task import Claimed, Effect
from dtqs.uuid7 import uuid7

_NO_FILES = "[]"
FEW = 4
"""Tasks of a claim or a finish. For more tasks the driver's cursor reads the rows faster."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease that the database has for a worker, and its tasks with a cancel request."""

    lease_id: str
    cancel_requested: tuple[str, ...]


class Leases:
    def __init__(self, database: Database, grace_seconds: float, retry: RetrySection) -> None:
        self._database, self._grace, self._retry = database, grace_seconds, retry
        self._unconfirmed: dict[str, EarlierTry] = {}
        """The last failed reclaim of each worker. Its COMMIT may have happened."""

    def warm_up(self, worker_id: str) -> None:
        """Run the hot statements where they change nothing. This plans them and fills the server's caches.

        Raises StoreUnavailable.
        """
        self.claim(worker_id, uuid7(), ())
        settlement = Settlement(worker_id, Kind.COMPLETED, "{}")
        self.complete_few(uuid7(), [settlement])
        self.finish(uuid7(), [settlement])

    def claim(
        self,
        worker_id: str,
        lease_id: str,
        task_ids: Sequence[str],
        waits: bool = True,
        task_type: str | None = None,
    ) -> tuple[list[Claimed], list[LogRef]]:
        """Take the named tasks that are due into a new lease. Returns also the log rows of heavy tasks.

        `task_type`: only tasks of this type, which the hint names; None: of all types.
        `waits` for tasks that other sessions have locked; otherwise these are left out.
        Raises StoreUnavailable. Even then the claim may have happened; the next heartbeat finds its lease.
        """
        claimed = {
            "worker_id": worker_id,
            "lease_id": lease_id,
            "ids": array(list(task_ids)),
            "named": len(task_ids),
            "task_type": task_type,
        }
        rows = self._database.run_once("claim" if waits else "claim_free", claimed, few=len(task_ids) <= FEW)
        return [Claimed(*row[:10]) for row in rows], [
            (row[10], row[0], "in_progress") for row in rows if row[10] is not None
        ]

    def finish(
        self, lease_id: str, settlements: Sequence[Settlement], deadline: Deadline | None = None
    ) -> list[LogRef]:
        """End a lease and settle its tasks; tasks without a settlement are given back unspent.

        Returns no rows if the lease is gone. Raises StoreUnavailable.
        """
        if settlements and all(s.kind is Kind.COMPLETED and not s.files for s in settlements):
            completed = _completed(lease_id, settlements)
            if rows := self._database.run("complete", completed, deadline, few=len(settlements) <= FEW):
                return rows
        return self._database.run("finish", self._settled(lease_id, settlements), deadline)

    def complete_few(self, lease_id: str, settlements: Sequence[Settlement]) -> tuple[list[LogRef], list[str]]:
        """End a lease as `finish`, if all its tasks are light, few and completed. Return also outcomes for the event.

        Each outcome is the record of a task as JSON. No rows: the lease is gone or holds other tasks. Raises
        StoreUnavailable.
        """
        rows = self._database.run("complete_few", _completed(lease_id, settlements), few=True)
        return [row[:3] for row in rows], [row[3] for row in rows]

    def finish_part(
        self, worker_id: str, lease_id: str, next_id: str, settlements: Sequence[Settlement], keep: Sequence[str]
    ) -> list[LogRef]:
        """Settle part of a batch. The tasks in `keep` go on under the lease `next_id`; all others are given back.

        Returns no rows if the lease is gone. Raises StoreUnavailable: then the part may be settled or not.
        """
        parameters = self._settled(lease_id, settlements) | {
            "worker_id": worker_id,
            "next_id": next_id,
            "keep": array(list(keep)),
        }
        return self._database.run_once("part", parameters)

    def free(self, task_ids: Sequence[str]) -> set[str]:
        """Return those of the tasks whose rows no other session has locked. Raises StoreUnavailable."""
        return {row[0] for row in self._database.run_once("free_tasks", {"ids": array(list(task_ids))})}

    def landed(self, worker_id: str, task_ids: Sequence[str]) -> list[LogRef]:
        """Return the tasks whose last spent attempt is this worker's, as events without a log row.

        After a finish that changed nothing, they show whether an earlier try succeeded. Raises StoreUnavailable.
        """
        return [
            (None, task_id, event)
            for task_id, event in self._database.confirm(
                "landed", {"worker_id": worker_id, "ids": array(list(task_ids))}
            )
        ]

    def give_back(self, lease_id: str, deadline: Deadline | None = None) -> list[LogRef]:
        """End a lease: all its tasks are pending again and no attempt is spent. Raises StoreUnavailable."""
        earlier, settled = EarlierTry(), self._settled(lease_id, ())

        def work(run: Run) -> list[Row]:
            rows = run("finish", settled)
            return earlier.note(rows) if rows else earlier.landed(run) or []

        return self._database.transaction(work, deadline)

    def report(
        self,
        lease_id: str,
        task_id: str,
        attempt: int,
        event: str,
        level: str,
        message: str,
        data: object,
        after: int = 0,
    ) -> int:
        """Write a running task's progress or log row. Returns its id. Raises LeaseLost, StoreUnavailable.

        `after` is the id of the last such row under this lease.
        """
        parameters: dict[str, object] = {
            "lease_id": lease_id,
            "task_id": task_id,
            "event": event,
            "attempt": attempt,
            "level": level,
            "message": message,
            "data": None if data is None else orjson.dumps(data).decode(),
        }
        try:
            rows = self._database.run_once("report", parameters)
        except StoreUnavailable:
            again = parameters | {"after": after, "since": lived_since([task_id])}
            rows = self._database.transaction(lambda run: _report_again(run, again))
        if not rows:
            raise LeaseLost(lease_id)
        return int(rows[0][0])

    def mark_effect(self, lease_id: str, task_id: str, effect: Effect) -> None:
        """Mark that an outside effect begins. The mark is durable on return. Raises LeaseLost, StoreUnavailable."""
        if not self._database.run("mark_effect", {"lease_id": lease_id, "task_id": task_id, "effect": str(effect)}):
            raise LeaseLost(lease_id)

    def held(self, worker_id: str) -> list[HeldLease]:
        """Return the leases that the database has for a worker. Raises StoreUnavailable."""
        return [
            HeldLease(lease_id, tuple(ids))
            for lease_id, ids in self._database.run_once("read_back", {"worker_id": worker_id})
        ]

    def reclaim(
        self,
        worker_id: str,
        error: BaseException,
        death: Death | None = None,
        seen: str | None = None,
        final_types: Sequence[str] = (),
        deadline: Deadline | None = None,
    ) -> list[LogRef] | None:
        """Mark a worker dead and end its leases, in one transaction of two statements.

        `seen`: do so only if this is still its heartbeat; None: its process is known to be gone. `death` tells which
        task ran; without it each task did. Such a task begins again after the backoff. A death that is blamed on it
        spends its attempt, and it fails after `max_deaths` of them, or at once if its type is one of `final_types`.
        Any other spends none, up to `max_losses`.
        Returns None if no worker could be marked. Raises StoreUnavailable: then the next call for this worker returns
        what this one did.
        """
        mark = {"worker_id": worker_id, "seen": seen}
        take = self._shared() | {
            "worker_id": worker_id,
            "idle": death is not None and death.idle,
            "culprit": death.task_id if death else None,
            "blamed": death is not None and death.blamed,
            "error": error_json(error, transient=True),
            "final_types": array(list(final_types)),
            "final_error": error_json(error, transient=False),
            "last_error": error_json(TooManyDeaths(self._retry.max_deaths, str(error)), transient=False),
            "last_loss": error_json(TooManyLosses(self._retry.max_losses, str(error)), transient=False),
            "unknown": error_json(EffectUnknown(str(error)), transient=False),
            **self._retry.model_dump(include={"max_deaths", "max_losses", "base_seconds", "max_seconds"}),
        }

        earlier = self._unconfirmed.setdefault(worker_id, EarlierTry())

        def work(run: Run) -> list[Row] | None:
            marked = run("mark_dead", mark)
            return earlier.note(run("take_back", take)) if marked else earlier.landed(run)

        rows = self._database.transaction(work, deadline)
        self._unconfirmed.pop(worker_id, None)
        return rows

    def requests_of(self, task_ids: Sequence[str]) -> list[str]:
        """Return the ids of the requests that submitted these tasks; none if PostgreSQL does not answer."""
        try:
            return [row[0] for row in self._database.run_once("requests_of", {"ids": array(list(task_ids))})]
        except StoreUnavailable:
            return []

    def _shared(self) -> dict[str, object]:
        return {"grace": self._grace, "files": _NO_FILES}

    def _settled(self, lease_id: str, settlements: Sequence[Settlement]) -> dict[str, object]:
        files = [
            {
                "task_id": s.task_id,
                "file_id": f.file_id,
                "name": f.name,
                "media_type": f.media_type,
                "size_bytes": f.size_bytes,
                "sha256": f.sha256,
            }
            for s in settlements
            if s.files
            for f in s.files
        ]
        return {
            "lease_id": lease_id,
            "ids": array([s.task_id for s in settlements]),
            "kinds": array([s.kind for s in settlements]),
            "values": text_array([s.value for s in settlements]),
            "delays": array([str(s.delay_seconds) for s in settlements]),
            "unknown": _UNKNOWN,
            "grace": self._grace,
            "files": orjson.dumps(files).decode() if files else _NO_FILES,
        }


def _report_again(run: Run, parameters: dict[str, object]) -> list[Row]:
    """Write a row, unless an earlier try has written it. Return no row if the lease is gone."""
    if not run("report_lock", parameters):
        return []
    found = run("reported", parameters)
    if not found:
        return run("report", parameters)
    run("wait_for_earlier")
    return found


def _completed(lease_id: str, settlements: Sequence[Settlement]) -> dict[str, object]:
    return {
        "lease_id": lease_id,
        "ids": array([s.task_id for s in settlements]),
        "values": text_array([s.value for s in settlements]),
    }


_UNKNOWN = error_json(EffectUnknown("the attempt was ended"), transient=False)
