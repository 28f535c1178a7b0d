"""Writes outcomes: through the lease, held and said again while PostgreSQL is away; then the event, and the hints of what is due again."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from dtqs.broker.worker_link import WorkerLink
from dtqs.deadline import Deadline
from dtqs.errors import StoreRefused, StoreUnavailable
from dtqs.event import LogRef
from dtqs.settlement import Kind, Settlement, describe, error_json
from dtqs.store import Store
from dtqs.store.workers import ProcessTotals
from dtqs.worker.hold import Hold

logger = logging.getLogger(__name__)
_HINT_SECONDS = 2.0
UNSTORABLE = (StoreRefused, TypeError, ValueError)
"""What a value of an author's can come to: it fails its task. Anything else is a fault of the moment, or of ours, and no task's end."""
_MOST_FAULTS = 20
_AFTER_FAULT_SECONDS = 1.0


class Finisher:
    """`give_up` tells when a result may be held no longer: the worker was told to stop and its grace is over."""

    def __init__(
        self,
        worker_id: str,
        store: Store,
        link: WorkerLink,
        hold: Hold,
        totals: ProcessTotals,
        give_up: Callable[[], bool],
    ) -> None:
        self._worker_id = worker_id
        self._store, self._link, self._hold, self._totals, self._give_up = store, link, hold, totals, give_up

    def finish(self) -> bool:
        """End what is held; False: the outcome could not be written, and whoever reclaims the lease will settle it."""
        faults = 0
        while True:
            try:
                with self._hold.lock:
                    rows = self._settle()
            except Exception as error:  # the outcome is as good as before, and the worker lives on
                if self._give_up():
                    logger.error(
                        "outcome not written", extra={"lease_id": self._hold.lease_id, "reason": describe(error)}
                    )
                    return False
                unknown = not isinstance(error, StoreUnavailable)
                logger.warning(
                    "outcome held", extra={"lease_id": self._hold.lease_id, "reason": describe(error)}, exc_info=unknown
                )
                faults += unknown
                if unknown:
                    self._bear(faults)
                continue
            self.tell(rows, (*self._hold.earlier, *self._hold.settled))
            self._hold.done()
            return True

    def tell(self, rows: Sequence[LogRef], settlements: Sequence[Settlement]) -> None:
        """After the commit of these settlements: count, publish one event message, and the hints of tasks that are due again."""
        if not rows:
            return
        counts = Counter(event for _, _, event in rows)
        self._totals.completed += counts["completed"]
        self._totals.failed += counts["failed"]
        self._totals.cancelled += counts["cancelled"]
        self._link.publish_events_now(rows)
        if counts["pending"]:
            self._again([task_id for _, task_id, event in rows if event == "pending"], settlements)

    def hint(self, task_ids: Sequence[str]) -> None:
        """Publish the hints of those that are due now. The relay is the safety net, so a fault here is no harm."""
        try:
            dues = self._store.backlog.due(task_ids)
        except StoreUnavailable:
            return
        if dues:
            self._link.publish_hints(dues, Deadline(_HINT_SECONDS))

    def _again(self, task_ids: Sequence[str], settlements: Sequence[Settlement]) -> None:
        retries = {s.task_id for s in settlements if s.kind is Kind.RETRY}
        retried = sum(1 for task_id in task_ids if task_id in retries)
        self._totals.retried += retried
        self._totals.given_back += len(task_ids) - retried
        self.hint(task_ids)

    def _bear(self, faults: int) -> None:
        """Wait after a fault that nobody foresaw. After so many the lease goes back as it is: the statement knows which effect has begun."""
        time.sleep(_AFTER_FAULT_SECONDS)
        if faults == _MOST_FAULTS:
            logger.error("outcome given up: its tasks are given back", extra={"lease_id": self._hold.lease_id})
            with self._hold.lock:
                self._hold.settled, self._hold.earlier = [], []

    def _settle(self) -> list[LogRef]:
        hold = self._hold
        if hold.lease_id is None:
            return []
        try:
            return self._settle_as(hold.settled, [*hold.earlier, *hold.settled])
        except UNSTORABLE as error:
            if not isinstance(error, StoreRefused):
                logger.exception("outcome refused", extra={"lease_id": hold.lease_id})
            hold.settled, hold.earlier = refused(hold.settled, error), refused(hold.earlier, error)
            return self._settle_as(hold.settled, [*hold.earlier, *hold.settled])

    def _settle_as(self, settled: Sequence[Settlement], everything: Sequence[Settlement]) -> list[LogRef]:
        """Finish the lease; where the reply to a part was lost, either it landed (the next lease is there) or it did not (the earlier one is)."""
        hold = self._hold
        assert hold.lease_id is not None
        rows = self._store.leases.finish(hold.lease_id, settled)
        if not rows and hold.earlier_id is not None:
            rows = self._store.leases.finish(hold.earlier_id, everything) or self._store.leases.finish(
                hold.lease_id, settled
            )
        return rows or self._landed([s.task_id for s in everything])

    def _landed(self, task_ids: Sequence[str]) -> list[LogRef]:
        """The lease is gone: because an earlier saying landed and its reply was lost, or because somebody else has settled it. The tasks' rows say."""
        rows = self._store.leases.landed(self._worker_id, task_ids)
        if not rows:
            logger.warning("outcome discarded: the lease is gone", extra={"lease_id": self._hold.lease_id})
        return rows


def refused(settled: Sequence[Settlement], error: Exception) -> list[Settlement]:
    """A value that PostgreSQL cannot store. Alone, it fails its task; in a batch nobody knows whose it is, and each comes back alone."""
    alone = len(settled) == 1
    value = error_json(error, transient=not alone)
    return [Settlement(one.task_id, Kind.FAILED if alone else Kind.RETRY, value) for one in settled]
