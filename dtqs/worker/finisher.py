"""Writes outcomes through the lease, with retries while PostgreSQL is down. Then it publishes events and hints."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from dtqs.broker.worker_link import WorkerLink
from dtqs.deadline import Deadline
from dtqs.errors import StoreRefused, StoreUnavailable
from dtqs.event import LogRef
from dtqs.event_seal import EventSeal
from dtqs.settlement import Kind, Settlement, describe, error_json
from dtqs.store import Store
from dtqs.store.driver.failures import StoreBlocked
from dtqs.store.leases import FEW
from dtqs.store.workers import ProcessTotals
from dtqs.task import OUTCOMES, Claimed
from dtqs.uuid7 import uuid7
from dtqs.worker.hold import Hold

logger = logging.getLogger(__name__)
_HINT_SECONDS = 2.0
_CARRIED_CHARACTERS, _CARRIED_BYTES = 4096, 16 << 10
"""Most characters of payloads and results in an event, and most bytes of its records: they have tags and times too."""
UNSTORABLE = (StoreRefused, TypeError, ValueError)
"""Errors that a value of a processor can cause: they fail its task. No other error fails a task."""
_MOST_FAULTS = 20
_AFTER_FAULT_SECONDS = 1.0
Settled = tuple[list[LogRef], list[str]]
"""The log rows of a finish, and the outcomes that its event carries."""


class Finisher:
    """Finishes leases. `give_up` tells whether the worker must stop: then the finisher no longer retries."""

    def __init__(
        self,
        worker_id: str,
        store: Store,
        link: WorkerLink,
        hold: Hold,
        totals: ProcessTotals,
        give_up: Callable[[], bool],
    ) -> None:
        self.seal = EventSeal()
        self._worker_id = worker_id
        self._store, self._link, self._hold, self._totals, self._give_up = store, link, hold, totals, give_up

    def finish(self) -> bool:
        """Finish the held lease. Return False if that failed: then the tasks are settled by a reclaim of the lease."""
        faults = 0
        while True:
            try:
                with self._hold.lock:
                    rows, outcomes = self._settle()
            except Exception as error:  # the outcome is still valid, and the worker must live on
                if isinstance(error, StoreBlocked):
                    self._finish_free()
                if self._give_up():
                    logger.error(
                        "outcome not written", extra={"lease_id": self._hold.lease_id, "reason": describe(error)}
                    )
                    return False
                unknown = not isinstance(error, StoreUnavailable)
                fields = {"lease_id": self._hold.lease_id, "reason": describe(error)}
                logger.warning("outcome held", extra=fields, exc_info=unknown)
                faults += unknown
                if unknown:
                    self._wait_after_fault(faults)
                continue
            self.announce(rows, (*self._hold.earlier, *self._hold.settled), outcomes)
            self._hold.done()
            return True

    def _finish_free(self) -> None:
        """Settle the tasks whose rows are free, after a wait in vain for one that another session has locked.

        One such row would hold up the outcomes of a whole batch. If this fails, the next turn tries it again.
        """
        try:
            with self._hold.lock:
                settlements, rows = self._settle_free_locked()
        except Exception as error:  # as in `finish`, which tries it again
            fields = {"lease_id": self._hold.lease_id, "reason": describe(error)}
            logger.warning("outcomes of free tasks held", extra=fields)
        else:
            self.announce(rows, settlements)

    def _settle_free_locked(self) -> tuple[list[Settlement], list[LogRef]]:
        hold, tasks = self._hold, self._hold.tasks
        divided = hold.earlier_id is not None
        if not divided:
            free = self._store.leases.free([task.task_id for task in tasks]) if len(tasks) > 1 else set()
            if not 0 < len(free) < len(tasks):
                return [], []
            hold.divide_locked(uuid7(), free)
        assert hold.earlier_id is not None
        assert hold.lease_id is not None
        keep = [task.task_id for task in hold.tasks]
        try:
            # after a lost reply, the repetition of a part changes nothing
            rows = self._store.leases.finish_part(self._worker_id, hold.earlier_id, hold.lease_id, hold.earlier, keep)
        except (StoreBlocked, *UNSTORABLE) as error:
            if not divided:  # no earlier try of this part can have succeeded
                hold.unite_locked(tasks)
            if not isinstance(error, StoreBlocked):
                hold.settled, hold.earlier = refused(hold.settled, error), refused(hold.earlier, error)
            return [], []
        settlements, rows = hold.earlier, rows or self.landed_part_locked()
        hold.end_part_locked()
        return settlements, rows

    def announce(self, rows: Sequence[LogRef], settlements: Sequence[Settlement], outcomes: Sequence[str] = ()) -> None:
        """Count committed settlements, and publish their events, with hints for the tasks that are due again.

        `outcomes`: those that the event carries (`complete_few`).
        """
        if not rows:
            return
        counts = Counter(event for _, _, event in rows)
        self._totals.completed += counts["completed"]
        self._totals.failed += counts["failed"]
        self._totals.cancelled += counts["cancelled"]
        self._link.publish_events_now([*rows, self.seal.row(outcomes)] if outcomes else rows)
        retried = self._count_retries(rows, settlements) if counts["pending"] else 0
        if settlements:
            self._count_attempts(counts, retried)
        if counts["pending"]:
            self.publish_hints([task_id for _, task_id, event in rows if event == "pending"])

    def publish_hints(self, task_ids: Sequence[str]) -> None:
        """Publish hints for the tasks that are due now. If this fails, the relay publishes them later."""
        try:
            dues = self._store.backlog.due(task_ids)
        except StoreUnavailable:
            return
        if dues:
            self._link.publish_hints(dues, Deadline(_HINT_SECONDS))

    def _count_retries(self, rows: Sequence[LogRef], settlements: Sequence[Settlement]) -> int:
        retries = {s.task_id for s in settlements if s.kind is Kind.RETRY}
        task_ids = [task_id for _, task_id, event in rows if event == "pending"]
        retried = sum(1 for task_id in task_ids if task_id in retries)
        self._totals.retried += retried
        self._totals.given_back += len(task_ids) - retried
        return retried

    def _count_attempts(self, counts: Counter[str], retried: int) -> None:
        """Count the attempts of the held claim by their results. All its tasks have one type."""
        if task_type := self._hold.task_type:
            for result, count in (*((outcome, counts[outcome]) for outcome in OUTCOMES), ("retry", retried)):
                if count:
                    self._totals.tally.add(f"attempts|{task_type}|{result}", count)

    def _wait_after_fault(self, faults: int) -> None:
        """Wait after an unknown error. After `_MOST_FAULTS` of them, drop the outcomes: the tasks are given back.

        The SQL statement knows which effects have begun.
        """
        time.sleep(_AFTER_FAULT_SECONDS)
        if faults == _MOST_FAULTS:
            logger.error(
                "outcome dropped after too many errors: its tasks are given back",
                extra={"lease_id": self._hold.lease_id},
            )
            with self._hold.lock:
                self._hold.settled, self._hold.earlier = [], []

    def _settle(self) -> Settled:
        hold = self._hold
        if hold.lease_id is None:
            return [], []
        try:
            return self._settle_held()
        except UNSTORABLE as error:
            if not isinstance(error, StoreRefused):
                logger.exception("outcome refused", extra={"lease_id": hold.lease_id})
            hold.settled, hold.earlier = refused(hold.settled, error), refused(hold.earlier, error)
            return self._settle_held()

    def _settle_held(self) -> Settled:
        """Finish the lease.

        If the reply to a part was lost, only one of two leases exists: the next one if the part was committed,
        else the earlier one.
        """
        hold = self._hold
        assert hold.lease_id is not None
        rows, outcomes = self._complete_few(hold.lease_id, hold.settled)
        rows = rows or self._store.leases.finish(hold.lease_id, hold.settled)
        if hold.earlier_id is None:
            return rows or self._landed(hold.settled), outcomes
        if not rows:
            if everything := self._store.leases.finish(hold.earlier_id, [*hold.earlier, *hold.settled]):
                return everything, outcomes
            # the part may have been committed only just now
            rows = self._store.leases.finish(hold.lease_id, hold.settled) or self._landed(hold.settled)
        return [*rows, *self.landed_part_locked()], outcomes

    def _complete_few(self, lease_id: str, settled: Sequence[Settlement]) -> Settled:
        """Finish a few light tasks so that their event can carry the outcomes. Return no rows for any others.

        Their logs must have no other row, since a stream must send it first. Many tasks come under load: one read then
        serves many streams, and most tasks have none.
        """
        tasks = self._hold.tasks
        if not 0 < len(settled) <= FEW or len(settled) != len(tasks) or self._hold.reported or not self.seal.has_key:
            return [], []
        size = sum(len(task.payload) for task in tasks) + sum(len(one.value or "") for one in settled)
        if (
            size > _CARRIED_CHARACTERS
            or not all(task.light and task.is_new for task in tasks)
            or not all(map(_is_plain, settled))
        ):
            return [], []
        rows, outcomes = self._store.leases.complete_few(lease_id, settled)
        return rows, outcomes if sum(len(one.encode()) for one in outcomes) <= _CARRIED_BYTES else []

    def landed_part_locked(self) -> list[LogRef]:
        """Return what became of a part whose lease is gone: its reply was lost, or others have settled the tasks."""
        return self._landed_of(self._hold.earlier, self._hold.rest)

    def _landed_of(self, settlements: Sequence[Settlement], rest: Sequence[Claimed]) -> list[LogRef]:
        """Return what became of settlements whose lease is gone, and of its tasks that had not begun.

        Only spent attempts can tell. Without any, publish the hints of the tasks that were given back, and count
        nothing.
        """
        spent = [one.task_id for one in settlements if one.kind is not Kind.UNSPENT]
        unspent = [one.task_id for one in settlements if one.kind is Kind.UNSPENT]
        given_back = [*unspent, *(task.task_id for task in rest)]
        if not spent:
            self.publish_hints(given_back)
            return []
        landed = self._store.leases.landed(self._worker_id, spent)
        if len(landed) < len(spent):
            return landed
        # hints are published for those that are due
        return [*landed, *((None, task_id, "pending") for task_id in given_back)]

    def _landed(self, settled: Sequence[Settlement]) -> list[LogRef]:
        """Look into the rows of the tasks, because the lease is gone.

        Either an earlier finish was committed and its reply was lost, or another process has settled the tasks.
        """
        named = {one.task_id for one in settled}
        rows = self._landed_of(settled, [task for task in self._hold.tasks if task.task_id not in named])
        if not rows and any(one.kind is not Kind.UNSPENT for one in settled):
            self._totals.tally.add("losses|outcome_discarded")
            logger.warning(
                "outcome discarded: another process has settled the tasks of this lease",
                extra={"lease_id": self._hold.lease_id},
            )
        return rows


def _is_plain(settlement: Settlement) -> bool:
    return settlement.kind is Kind.COMPLETED and not settlement.files


def refused(settled: Sequence[Settlement], error: Exception) -> list[Settlement]:
    """Return settlements without the value that PostgreSQL refused.

    A single task fails. In a batch it is unknown whose value it was, so each task is retried on its own.
    """
    alone = len(settled) == 1
    value = error_json(error, transient=not alone)
    return [Settlement(one.task_id, Kind.FAILED if alone else Kind.RETRY, value) for one in settled]
