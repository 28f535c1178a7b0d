"""The beating thread of a worker: its heartbeat, the leases that it does not know, and what is to happen when work takes longer than a moment."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dtqs.broker.worker_link import WorkerLink
from dtqs.config import LeaseSection
from dtqs.errors import StoreUnavailable
from dtqs.store import Store
from dtqs.store.backlog import FIRST_ID
from dtqs.store.workers import Totals, WorkerIdentity, WorkerReport
from dtqs.uuid7 import uuid7
from dtqs.worker.descendants import kill_descendants
from dtqs.worker.finisher import Finisher
from dtqs.worker.hold import Hold
from dtqs.worker.limits import Limits

logger = logging.getLogger(__name__)
_REPAIR_BATCH = 1000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the thread works with."""

    identity: WorkerIdentity
    store: Store
    link: WorkerLink
    hold: Hold
    limits: Limits
    finisher: Finisher
    totals: Totals


class Beat:
    def __init__(self, parts: Parts, lease: LeaseSection, moment_seconds: float, drains: Callable[[], bool]) -> None:
        self._p, self._lease, self._moment, self._drains = parts, lease, moment_seconds, drains
        self.paused = False
        """The consumer was stopped because work took long: the main thread starts it again, under the hold's lock."""
        self.repair_wanted = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        next_beat = 0.0
        while not self._end.wait(self._moment / 2):
            try:
                self._look_at_work()
                if time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + self._lease.heartbeat_seconds
                    self._beat()
                if self.repair_wanted:
                    self.repair_wanted = False
                    self._repair()
            except StoreUnavailable as error:
                logger.warning("heartbeat failed", extra={"worker_id": self._p.identity.worker_id, "reason": str(error)})
            except Exception:  # this thread must outlive one bad turn: without it the worker would be judged dead
                logger.exception("heartbeat failed")

    def _look_at_work(self) -> None:
        """Law 4: after a moment hold no unclaimed delivery, and nothing that waits behind the running task."""
        hold = self._p.hold
        if not hold.lock.acquire(blocking=False):
            return  # the main thread is writing an outcome
        try:
            late = hold.running is not None and time.monotonic() - hold.began > self._moment
            if (late or self._drains()) and not self.paused:
                self.paused = True
                self._p.link.pause()
            if late and hold.rest_locked and not hold.cut:
                self._cut()
        finally:
            hold.lock.release()

    def _cut(self) -> None:
        """Write the outcomes that are there and give back the tasks that were not begun; the running one goes on alone."""
        hold = self._p.hold
        assert hold.lease_id is not None
        assert hold.running is not None
        lease_id, next_id, keep = hold.lease_id, uuid7(), [hold.running.task_id]
        settled = hold.part_begins_locked(next_id)
        rows = self._p.store.leases.finish_part(self._p.identity.worker_id, lease_id, next_id, settled, keep)
        # StoreUnavailable: it landed or not, and the finish finds out; otherwise it is certain
        hold.part_landed_locked()
        self._p.finisher.tell(rows, settled)

    def _beat(self) -> None:
        p, worker_id = self._p, self._p.identity.worker_id
        if not p.store.workers.beat(worker_id, self._report()) and not self._end.is_set():
            self._die()
        for lease in p.store.leases.held(worker_id):
            if lease.lease_id not in p.hold.known:
                logger.warning("unknown lease given back", extra={"lease_id": lease.lease_id})
                p.finisher.tell(p.store.leases.give_back(lease.lease_id), ())
            elif lease.cancel_requested:
                p.limits.cancel(list(lease.cancel_requested))
        p.store.workers.count(worker_id, "worker", p.identity.node_name, p.totals)

    def _report(self) -> WorkerReport:
        running, totals = self._p.hold.running, self._p.totals
        state = "draining" if self._drains() else "busy" if running else "ready"
        return WorkerReport(
            state=state,
            task_id=running.task_id if running else None,
            task_type=running.task_type if running else None,
            busy_seconds=time.monotonic() - self._p.hold.attempt_began if running else None,
            memory_bytes=memory_bytes(),
            completed=totals.completed,
            failed=totals.failed,
        )

    def _die(self) -> None:
        """We were judged dead and others have our tasks: stop at once, whatever the main thread does."""
        logger.error("marked dead: stopping at once", extra={"worker_id": self._p.identity.worker_id})
        kill_descendants()
        os._exit(os.EX_TEMPFAIL)

    def _repair(self) -> None:
        """We found the broker's queue missing and declared it: everything due is to be published again."""
        after: str | None = FIRST_ID
        while after is not None:
            after, _ = self._p.store.backlog.repair(after, _REPAIR_BATCH, 0)


def memory_bytes() -> int:
    """Return this process's resident memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES
