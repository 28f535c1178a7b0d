"""The start of a worker, once PostgreSQL has accepted its login: settle the deaths before it, and register."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from dtqs import naming
from dtqs.deadline import Stop
from dtqs.errors import StoreUnavailable, WorkerDied
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
    """Repeats each step until PostgreSQL answers or the worker must stop."""

    def __init__(
        self,
        seat: WorkerSeat,
        identity: WorkerIdentity,
        store: Store,
        waiting: Waiting,
        stop: Stop,
        final_types: Sequence[str] = (),
    ) -> None:
        """`final_types`: the types whose attempts are not retried after a time limit."""
        self._final_types = final_types
        self._seat, self._identity, self._store, self._waiting, self._stop = seat, identity, store, waiting, stop

    def schema_refusal(self) -> str | None:
        """Return why the schema does not fit this code, or None."""
        return self._persist(self._store.database.schema_refusal)

    def settle_deaths(self, totals: ProcessTotals) -> list[LogRef]:
        """Take back the leases of the predecessors in this slot at once: recovery must not wait for a lease time."""
        rows: list[LogRef] = []
        for death in self._seat.deaths:
            taken = self._take_back(death)
            if taken is not None:
                totals.tally.add(f"deaths|{death_label(death.cause)}")
            if taken:
                totals.reclaimed += len(taken)
                rows += taken
                ids = [task_id for _, task_id, _ in taken]
                requests = self._store.leases.requests_of(ids[: naming.NAMED_LIMIT])
                fields = {"worker_id": death.worker_id, "cause": death.cause, **naming.of_ids(ids, requests)}
                logger.warning("dead worker's tasks taken back", extra=fields)
        if not self._stop.requested:
            self._seat.slot.settled_deaths()
        return rows

    def _take_back(self, death: Death) -> list[LogRef] | None:
        """Take back the leases of one predecessor. After some failures leave them to a keeper."""
        final, cause = self._final_types if death.cause == TIME_LIMIT else (), WorkerDied(death.cause)
        for _ in range(_TRIES):
            # an outage is no failure of this death
            self._persist(self._store.database.schema_refusal)
            if self._stop.requested:
                return None
            try:
                return self._store.leases.reclaim(death.worker_id, cause, death, final_types=final)
            except Exception as error:  # a row of this worker is locked by somebody, or its lease is damaged
                fields = {"worker_id": death.worker_id, "reason": str(error)}
                logger.warning("take-back failed", extra=fields)
                self._seat.slot.beat()
        logger.warning("take-back left to a keeper", extra={"worker_id": death.worker_id})
        return None

    def register(self, lease: OwnLease) -> bool:
        """Insert the worker's row, with its first heartbeat. Return False if the worker must stop."""
        began = time.monotonic()
        self._seat.slot.worker(self._identity.worker_id)
        self._persist(lambda: self._store.workers.register(self._identity))
        lease.confirmed(began)
        if not self._stop.requested:
            self._seat.slot.heartbeat()
        self._persist(lambda: self._store.leases.warm_up(self._identity.worker_id))
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
