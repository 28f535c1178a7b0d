"""The beat thread of a worker: writes heartbeats, gives back unknown leases, and after a moment all waiting work."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dtqs import naming, sink
from dtqs.broker.worker_link import WorkerLink
from dtqs.config import LeaseSection
from dtqs.errors import StoreRefused, StoreUnavailable
from dtqs.event import LogRef
from dtqs.repeated_fault import RepeatedFaults
from dtqs.routes import NO_ROUTES, Routes
from dtqs.scoreboard import Slot
from dtqs.settlement import Settlement
from dtqs.store import Store
from dtqs.store.refill import Refills
from dtqs.store.workers import ProcessTotals, WorkerIdentity, WorkerReport
from dtqs.uuid7 import uuid7
from dtqs.worker.claims import Claims
from dtqs.worker.descendants import kill_descendants
from dtqs.worker.event_key import EventKey
from dtqs.worker.finisher import UNSTORABLE, Finisher, refused
from dtqs.worker.hold import Hold
from dtqs.worker.limits import AttemptLimits
from dtqs.worker.wear import Wear

logger = logging.getLogger(__name__)
_SCHEMA_SECONDS = 30.0
_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class BeatParts:
    """The objects that the thread uses."""

    identity: WorkerIdentity
    store: Store
    link: WorkerLink
    hold: Hold
    limits: AttemptLimits
    finisher: Finisher
    claims: Claims
    totals: ProcessTotals
    wear: Wear
    slot: Slot


class Beat:
    def __init__(
        self,
        parts: BeatParts,
        lease: LeaseSection,
        moment_seconds: float,
        drains: Callable[[], bool],
        routes: Routes = NO_ROUTES,
        carries_outcomes: bool = True,
    ) -> None:
        """`carries_outcomes`: learn the key that signs outcomes in events."""
        self._key = EventKey(parts.store, parts.finisher.seal, carries_outcomes)
        self._parts, self._lease, self._moment, self._drains = parts, lease, moment_seconds, drains
        self._pause_lock = threading.Lock()
        self._busy_since: float | None = None
        self._paused = False
        self._refills = Refills(parts.store.backlog, parts.store.queues, routes, parts.identity.worker_id)
        self._next_beat_at = 0.0
        self._next_schema_at = time.monotonic() + _SCHEMA_SECONDS
        self._cancel_noted, self._faults = False, RepeatedFaults(logger)
        self._early_from = 0.0
        self._wake = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._wake.set()
        self._thread.join(1.0)

    def note_cancel(self, task_ids: list[str]) -> None:
        """Let the thread check for a cancel if one of these tasks runs here. Callable from any thread.

        A message of the broker may be forged, so PostgreSQL decides. Many messages cause one check in half a moment.
        """
        running, now = self._parts.hold.running, time.monotonic()
        if running is not None and running.task_id in task_ids:
            self._cancel_noted = True
            if now >= self._early_from:
                self._early_from = now + self._moment / 2
                self._wake.set()

    def note_missing(self, queue: str, missed_at: float) -> None:
        """Note that a queue was missing and this process declared it: all due tasks of it need new hints."""
        self._refills.lost(queue, missed_at, time.monotonic())

    def busy(self) -> None:
        """Note that the main thread begins a claim. It is busy until it has written the outcomes."""
        self._busy_since = time.monotonic()

    def idle(self) -> bool:
        """Note that the main thread is back. Return whether the consumer was paused and must be started again."""
        with self._pause_lock:
            paused, self._paused, self._busy_since = self._paused, False, None
        return paused

    def beat(self) -> None:
        """Write the heartbeat. A worker that is marked dead ends here. Raises StoreUnavailable."""
        began = time.monotonic()
        if self._parts.store.workers.beat(self._parts.identity.worker_id, self._report()):
            self._parts.limits.lease.confirmed(began)
        elif not self._end.is_set():
            self._die()
        self._parts.slot.heartbeat()

    def persist(self, wait: Callable[[], bool]) -> bool:
        """Write the heartbeat, again after each wait, until it succeeds. Return False if a wait says to end."""
        while not wait():
            with contextlib.suppress(StoreUnavailable):
                self.beat()
                return True
        return False

    def retire(self) -> None:
        """Mark the worker's row dead at its regular end. If that fails, a keeper finds the row."""
        parts, identity = self._parts, self._parts.identity
        try:
            parts.finisher.announce(parts.store.workers.retire(identity.worker_id), ())
            parts.store.workers.count(identity.worker_id, "worker", identity.node_name, parts.totals, ends=True)
        except StoreUnavailable as error:
            logger.warning("worker row not retired", extra={"reason": str(error)})

    def _run(self) -> None:
        while not self._end.is_set():
            self._wake.wait(self._moment / 2)
            self._wake.clear()
            if self._end.is_set():
                return
            duties = (
                self._check_cancel,
                self._give_away_late_work,
                self._beat_when_due,
                self._check_schema,
                self._repair_a_piece,
                self._parts.claims.publish_left,
                sink.flush,
            )
            for duty in duties:
                self._try(duty)

    def _try(self, duty: Callable[[], None]) -> None:
        """Call one duty. If it fails, the others still run."""
        try:
            duty()
        except StoreUnavailable as error:
            logger.warning(
                "heartbeat failed", extra={"worker_id": self._parts.identity.worker_id, "reason": str(error)}
            )
        except Exception as error:  # without this thread the worker would be marked dead
            self._faults.tell("heartbeat failed", error)

    def _give_away_late_work(self) -> None:
        """After a moment, hold no unclaimed delivery and no task behind the running one (law 4 of the architecture)."""
        self._pause_when_late()
        hold = self._parts.hold
        if not hold.lock.acquire(blocking=False):
            return  # the main thread is writing an outcome
        try:
            late = hold.running is not None and time.monotonic() - hold.began > self._moment
            part = self._cut_locked() if late else None
        finally:
            hold.lock.release()
        if part:
            self._parts.finisher.announce(*part)

    def _pause_when_late(self) -> None:
        """Pause the consumer after a moment, also while PostgreSQL is slow: other workers may reach it."""
        with self._pause_lock:
            since = self._busy_since
            late = since is not None and time.monotonic() - since > self._moment
            if (late or self._drains()) and not self._paused:
                self._paused = True
                self._parts.link.pause()

    def _cut_locked(self) -> tuple[list[LogRef], list[Settlement]] | None:
        """Write the finished outcomes and give back the tasks that have not begun. The running task goes on alone."""
        hold = self._parts.hold
        if not hold.cut and (hold.rest_locked or hold.settled):
            hold.begin_part_locked(uuid7())
        if hold.earlier_id is None or hold.lease_id is None or hold.running is None:
            return None
        settled = hold.earlier
        try:
            # the next turn repeats this after any other error; if it was committed, the repetition changes nothing
            rows = self._parts.store.leases.finish_part(
                self._parts.identity.worker_id, hold.earlier_id, hold.lease_id, settled, [hold.running.task_id]
            )
        except UNSTORABLE as error:  # as in the finisher
            if not isinstance(error, StoreRefused):
                fields = {"lease_id": hold.earlier_id, **naming.of_ids([one.task_id for one in settled])}
                logger.exception("outcome refused", extra=fields)
            hold.earlier = refused(settled, error)
            return None
        rows = rows or self._parts.finisher.landed_part_locked()
        hold.end_part_locked()
        return rows, settled

    def _beat_when_due(self) -> None:
        if time.monotonic() < self._next_beat_at:
            return
        began = time.monotonic()
        self._next_beat_at = began + min(self._lease.heartbeat_seconds, _AGAIN_SECONDS)  # if this one fails
        parts, worker_id = self._parts, self._parts.identity.worker_id
        self.beat()
        self._next_beat_at = began + self._lease.heartbeat_seconds
        self._check_leases()
        parts.totals.tally.state("=broker|worker", parts.link.state)
        parts.store.workers.count(worker_id, "worker", parts.identity.node_name, parts.totals)
        self._key.learn()

    def _check_schema(self) -> None:
        """Drain if the schema has become one for newer code. The next process in this slot reports that and ends."""
        if time.monotonic() < self._next_schema_at:
            return
        self._next_schema_at = time.monotonic() + _SCHEMA_SECONDS
        if refused := self._parts.store.database.schema_refusal():
            logger.critical("the schema no longer fits this version of DTQS: draining", extra={"reason": refused})
            os.kill(os.getpid(), signal.SIGTERM)

    def _check_cancel(self) -> None:
        if self._cancel_noted:
            self._cancel_noted = False
            self._check_leases()

    def _check_leases(self) -> None:
        parts = self._parts
        for lease in parts.store.leases.held(parts.identity.worker_id):
            if lease.lease_id not in parts.hold.known:
                # without rows the main thread has finished this lease since it was read
                if rows := parts.store.leases.give_back(lease.lease_id):
                    parts.totals.tally.add("losses|unknown_lease")
                    fields = {"lease_id": lease.lease_id, **naming.of_ids([task_id for _, task_id, _ in rows])}
                    logger.warning("unknown lease given back", extra=fields)
                    parts.finisher.announce(rows, ())
            elif lease.cancel_requested:
                parts.limits.cancel(list(lease.cancel_requested))

    def _report(self) -> WorkerReport:
        running, totals = self._parts.hold.running, self._parts.totals
        # a worker that cannot write an outcome runs nothing, and takes nothing either
        is_busy = running is not None or self._parts.hold.lease_id is not None
        state = "draining" if self._drains() else "busy" if is_busy else "ready"
        return WorkerReport(
            state=state,
            task_id=running.task_id if running else None,
            task_type=running.task_type if running else None,
            busy_seconds=time.monotonic() - self._parts.hold.attempt_began if running else None,
            memory_bytes=self._parts.wear.read(),
            completed=totals.completed,
            failed=totals.failed,
        )

    def _die(self) -> None:
        """End at once, because this worker was marked dead and others have its tasks."""
        logger.error("marked dead: stopping at once", extra={"worker_id": self._parts.identity.worker_id})
        kill_descendants()
        os._exit(os.EX_TEMPFAIL)

    def _repair_a_piece(self) -> None:
        """Repair for a moment at most: a long backlog must not delay the heartbeat."""
        until = time.monotonic() + self._moment
        while self._refills.step() and time.monotonic() < until:
            pass
