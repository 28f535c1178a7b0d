"""Claims of tasks, and the tasks among them whose backlog rows another session keeps locked.

A claim waits for each row, since its hints are acked afterwards. After a wait in vain it takes the free tasks. This
process then publishes the hints of the others itself, once their rows are free. If it dies before, the relay does so.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from dtqs import naming
from dtqs.broker.worker_link import WorkerLink
from dtqs.deadline import Deadline
from dtqs.errors import StoreUnavailable
from dtqs.event import LogRef
from dtqs.store import Store
from dtqs.store.driver.failures import StoreBlocked
from dtqs.task import Claimed
from dtqs.uuid7 import uuid7
from dtqs.worker.hold import Hold

logger = logging.getLogger(__name__)
_CAREFUL_SECONDS = 60.0
"""How long no claim waits for locked rows after one has waited in vain, or after a row was found locked still."""
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 2.0, 60.0
"""The times between two looks at a locked task; doubled each time."""
_REMEMBERED = 10_000
_AT_ONCE = 500
_HINT_SECONDS = 2.0


class Claims:
    """The main thread claims. The beat thread publishes."""

    def __init__(self, worker_id: str, store: Store, link: WorkerLink, hold: Hold) -> None:
        self._worker_id, self._store, self._link, self._hold = worker_id, store, link, hold
        self._careful_until = 0.0
        self._lock = threading.Lock()
        self._left: OrderedDict[str, float] = OrderedDict()
        """The tasks to publish again, each with its time. At most `_REMEMBERED`; the relay publishes others."""
        self._rests: OrderedDict[str, float] = OrderedDict()

    def claim(self, task_ids: Sequence[str], task_type: str) -> tuple[str, list[Claimed], list[LogRef]]:
        """Take the named tasks of this type that are due. Return the lease, the tasks, and log rows.

        Raises StoreUnavailable.
        """
        if self._may_wait():
            try:
                return self._claim(task_ids, task_type, waits=True)
            except StoreBlocked as error:
                self._note_blocked(error, task_ids)
        lease_id, tasks, rows = self._claim(task_ids, task_type, waits=False)
        self._note_left(task_ids, [task.task_id for task in tasks])
        return lease_id, tasks, rows

    def put_off(self, task_ids: Sequence[str], task_type: str, seconds: float, longest: float) -> None:
        """Leave tasks to the relay, which publishes them after some seconds (Backlog). Raises StoreUnavailable."""
        if self._may_wait():
            try:
                self._store.backlog.put_off(task_ids, task_type, seconds, longest)
            except StoreBlocked as error:
                self._note_blocked(error, task_ids)
            else:
                return
        self._note_left(task_ids, self._store.backlog.put_off(task_ids, task_type, seconds, longest, waits=False))

    def publish_left(self) -> None:
        """Publish hints of the tasks whose rest is over and whose rows are free now. Raises StoreUnavailable.

        A task is forgotten once its hint is confirmed. It gets another rest if its row is locked, or the broker away.
        """
        if not self._left:
            return
        now = time.monotonic()
        with self._lock:
            ripe = [task_id for task_id, at in self._left.items() if at <= now][:_AT_ONCE]
        if not ripe:
            return
        dues, locked = self._store.backlog.due_and_free(ripe)
        if locked:
            self._careful_until = now + _CAREFUL_SECONDS
        kept = set(locked)
        if dues:
            kept |= {due.task_id for due in dues} - self._link.publish_hints(dues, Deadline(_HINT_SECONDS))
        with self._lock:
            for task_id in ripe:
                self._left.pop(task_id, None)
                if task_id in kept:
                    self._leave_locked(task_id, now)
                else:
                    self._rests.pop(task_id, None)

    def _may_wait(self) -> bool:
        return not self._careful_until or time.monotonic() >= self._careful_until

    def _claim(self, task_ids: Sequence[str], task_type: str, waits: bool) -> tuple[str, list[Claimed], list[LogRef]]:
        lease_id = uuid7()
        self._hold.expect(lease_id)
        tasks: list[Claimed] = []
        try:
            tasks, rows = self._store.leases.claim(self._worker_id, lease_id, task_ids, waits, task_type)
        finally:
            if not tasks:
                # if it was committed all the same, the next heartbeat finds an unknown lease and gives it back
                self._hold.forget(lease_id)
        return lease_id, tasks, rows

    def _note_blocked(self, error: StoreUnavailable, task_ids: Sequence[str]) -> None:
        self._careful_until = time.monotonic() + _CAREFUL_SECONDS
        fields = {"reason": str(error), **naming.of_ids(task_ids)}
        logger.warning("claim waited in vain for a locked row: taking the others", extra=fields)

    def _note_left(self, task_ids: Sequence[str], taken: Sequence[str]) -> None:
        """Remember the other tasks. Some of them may have ended."""
        left = set(task_ids).difference(taken)
        now = time.monotonic()
        with self._lock:
            for task_id in left:
                self._leave_locked(task_id, now)
            while len(self._rests) > _REMEMBERED:
                self._left.pop(self._rests.popitem(last=False)[0], None)

    def _leave_locked(self, task_id: str, now: float) -> None:
        rest = min(_LONGEST_REST_SECONDS, 2 * self._rests.pop(task_id, _FIRST_REST_SECONDS / 2))
        self._rests[task_id] = rest
        self._left[task_id] = now + rest
