"""The start of a worker, once PostgreSQL has accepted its login: settle the deaths before it, and register."""

import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from dtqs import naming
from dtqs.deadline import Deadline, Stop
from dtqs.errors import CommitUnknown, StoreUnavailable, WorkerDied
from dtqs.event import LogRef
from dtqs.scoreboard import TIME_LIMIT, Death
from dtqs.store import Store
from dtqs.store.workers import ProcessTotals, WorkerIdentity
from dtqs.tally import death_label
from dtqs.worker.arrival import Waiting
from dtqs.worker.own_lease import OwnLease
from dtqs.worker.seat import WorkerSeat

logger = logging.getLogger(__name__)
_AGAIN_SECONDS = 0.2
_TRIES = 3
T = TypeVar("T")


class Startup:
    """Repeats each step until PostgreSQL answers or the worker must stop.

    Only a death that cannot be settled is left to a keeper, after some tries.
    """

    def __init__(
        self,
        seat: WorkerSeat,
        identity: WorkerIdentity,
        store: Store,
        waiting: Waiting,
        stop: Stop,
        boot_timeout_seconds: float,
        final_types: Sequence[str] = (),
    ) -> None:
        """`final_types`: the types whose attempts are not retried after a time limit."""
        self._final_types = final_types
        self._failed_seconds, self._most_failed_seconds = 0.0, boot_timeout_seconds / 3
        """The time of all failed tries together, and its limit: the supervisor kills a child that starts too long."""
        self._seat, self._identity, self._store, self._waiting, self._stop = seat, identity, store, waiting, stop

    def schema_refusal(self) -> str | None:
        """Return why the schema does not fit this code, or None."""
        return self._persist(self._store.database.schema_refusal)

    def settle_deaths(self, totals: ProcessTotals) -> list[LogRef]:
        """Take back the leases of the predecessors in this slot at once: recovery must not wait for a lease time.

        Deaths that cannot be settled are left to a keeper. All are tried once before one is tried again.
        """
        rows: list[LogRef] = []
        left = dict.fromkeys(self._seat.deaths)
        for death in self._seat.deaths * _TRIES:
            may_try = death in left and self._failed_seconds < self._most_failed_seconds
            if may_try and self._persist(functools.partial(self._settle, death, totals, rows)):
                del left[death]
        if not self._stop.requested:
            for death in left:
                logger.warning("take-back left to a keeper", extra={"worker_id": death.worker_id})
            self._seat.slot.settled_deaths()
        return rows

    def _settle(self, death: Death, totals: ProcessTotals, rows: list[LogRef]) -> bool:
        """Try to settle one death, and add its log rows. Return False if it fails. Raises StoreUnavailable.

        An outage is no failure of this death: also a server that only answers reads, and one that confirms no commit.
        """
        _, read_only = self._store.database.state(Deadline(0))
        if read_only:
            raise StoreUnavailable("PostgreSQL: the server is read-only")
        final, cause = self._final_types if death.cause == TIME_LIMIT else (), WorkerDied(death.cause)
        began = time.monotonic()
        try:
            # one try here, since a second one inside would take as long again
            taken = self._store.leases.reclaim(death.worker_id, cause, death, final_types=final, deadline=Deadline(0))
        except CommitUnknown:
            raise
        except Exception as error:  # a row of this worker is locked by somebody, or its lease is damaged
            self._failed_seconds += time.monotonic() - began
            logger.warning("take-back failed", extra={"worker_id": death.worker_id, "reason": str(error)})
            self._seat.slot.beat()
            return False
        if taken is not None:
            totals.tally.add(f"deaths|{death_label(death.cause)}")
        if taken:
            totals.reclaimed += len(taken)
            rows += taken
            ids = [task_id for _, task_id, _ in taken]
            requests = self._store.leases.requests_of(ids[: naming.NAMED_LIMIT])
            fields = {"worker_id": death.worker_id, "cause": death.cause, **naming.of_ids(ids, requests)}
            logger.warning("dead worker's tasks taken back", extra=fields)
        return True

    def register(self, lease: OwnLease) -> bool:
        """Insert the worker's row, with its first heartbeat. Return False if the worker must stop.

        After a wait the lease must not have ended already: the supervisor would kill this worker.
        """

        def insert() -> float:
            began = time.monotonic()
            self._store.workers.register(self._identity)
            return began

        def note(began: float | None) -> None:
            if began is not None:
                lease.confirmed(began)
                self._seat.slot.heartbeat()

        self._seat.slot.worker(self._identity.worker_id)
        note(self._persist(insert))
        self._persist(lambda: self._store.leases.warm_up(self._identity.worker_id))
        if lease.is_ending(time.monotonic()):
            note(self._persist(insert))
        return not self._stop.requested

    def _persist(self, call: Callable[[], T]) -> T | None:
        """Repeat a call until PostgreSQL answers. Return None if the worker must stop before."""
        while not self._stop.requested:
            try:
                found = call()
            except StoreUnavailable as error:
                self._waiting.note_failure(error)
                self._stop.wait(_AGAIN_SECONDS)
            else:
                self._waiting.note_answer()
                return found
        return None
