"""A worker process from its fork to its end: consume → claim → run → finish, until it is told to drain or to stop."""

import functools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from setproctitle import setproctitle

from dtqs import sink
from dtqs.broker.consumer import Delivery
from dtqs.broker.worker_link import WorkerLink
from dtqs.config import Config
from dtqs.deadline import Deadline, Stop
from dtqs.errors import StoreUnavailable, WorkerDied
from dtqs.event import LogRef
from dtqs.files import FileSpace
from dtqs.prctl import adopt_orphans
from dtqs.processors.catalog import Catalog
from dtqs.scoreboard import ChildState, Death, Slot
from dtqs.store import Store
from dtqs.store.driver.kept import KeptDatabase
from dtqs.store.workers import ProcessTotals, WorkerIdentity
from dtqs.task import Claimed
from dtqs.uuid7 import uuid7
from dtqs.worker.arrival import Waiting, arrive
from dtqs.worker.beat import Beat, BeatParts
from dtqs.worker.finisher import Finisher
from dtqs.worker.hold import Hold
from dtqs.worker.limits import AttemptLimits
from dtqs.worker.pace import Pace
from dtqs.worker.process_state import ProcessState
from dtqs.worker.reports import WorkerReporter
from dtqs.worker.runner import Runner

logger = logging.getLogger(__name__)
_STORE_CONNECTIONS = 2
_UNKNOWN_TYPE_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
_GOODBYE_SECONDS = 2.0
_LAST_WORDS_SECONDS = 0.2
_AFTER_FAULT_SECONDS = 0.2
_TINY = 4
"""So few light tasks of one hint are done before the I/O thread would have woken up: the main thread keeps the broker's loop meanwhile."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkerSeat:
    """Where a worker process sits: its pool and number, its scoreboard slot, its node, and the deaths before it that nobody has settled."""

    pool: str
    number: int
    slot: Slot
    node_id: str
    boot_id: str
    deaths: tuple[Death, ...]
    last_words: Callable[[str], None] = lambda text: None
    """Leaves a line that says why this process ends."""
    offer_stacks: Callable[[], None] = lambda: None
    """Answers the supervisor's request for stacks again, after a task may have taken its signal."""
    wait_seconds: float = 0.0
    """Take no task for so long: those before us in this seat died of theirs."""


class Worker:
    def __init__(self, config: Config, catalog: Catalog, seat: WorkerSeat) -> None:
        self._seat, self._config = seat, config
        pool = config.pools[seat.pool]
        self._identity = WorkerIdentity(
            uuid7(),
            seat.node_id,
            seat.boot_id,
            socket.gethostname(),
            seat.pool,
            seat.number,
            os.getpid(),
            tuple(catalog.names()),
        )
        self._title = f"dtqs: worker {seat.pool}/{seat.number}"
        self._drain, self._stop = Stop(), Stop()
        self._waiting = Waiting(seat.slot)
        self._totals, self._hold, self._pace = ProcessTotals(), Hold(), Pace(pool.batch_seconds, pool.batch_limit)
        self._prefetch, self._all_written = self._pace.prefetch, True
        self._limits = AttemptLimits(seat.slot, config.supervisor.hard_limit_seconds)
        self._store = Store(
            config.postgresql, config.lease, _STORE_CONNECTIONS, self._title, KeptDatabase, config.retry
        )
        self._link = WorkerLink(
            config.rabbitmq, self._title, lambda ids: self._beat.cancel_said(ids), self._queue_is_missing
        )
        self._finisher = Finisher(
            self._identity.worker_id, self._store, self._link, self._hold, self._totals, lambda: self._stop.requested
        )
        reports = WorkerReporter(self._store, self._link, self._hold, self._limits)
        self._files = FileSpace(config.files, self._identity.worker_id)
        self._runner = Runner(catalog, self._files, reports, self._limits, config.retry, reports.permit)
        parts = BeatParts(
            self._identity, self._store, self._link, self._hold, self._limits, self._finisher, self._totals
        )
        self._beat = Beat(parts, config.lease, pool.moment_seconds, lambda: self._drain.requested)

    def run(self) -> int:
        """Live until told to drain or stop; returns the exit status."""
        if fault := arrive(
            self._config.postgresql, self._title, self._waiting, self._config.supervisor.boot_timeout_seconds
        ):
            status, words = fault
            self._seat.last_words(words)
            return status
        self._handle_signals()
        adopt_orphans()
        self._store.start()
        if refused := self._persist(self._store.database.schema_refusal):
            logger.critical("cannot work on this database", extra={"reason": refused})
            return os.EX_CONFIG
        settled = self._settle_deaths()
        if not self._register():
            return os.EX_OK
        self._link.start()
        self._beat.start()
        self._seat.slot.state(ChildState.READY)
        self._finisher.tell(settled, ())
        self._drain.wait(self._seat.wait_seconds)
        self._link.consume(self._pace.prefetch)
        while not self._drain.requested:
            self._turn()
        self._leave()
        # what could not be written is told to the next process in this seat: a clean end would tell it nothing
        return os.EX_OK if self._all_written else os.EX_TEMPFAIL

    def _handle_signals(self) -> None:
        def drain() -> None:
            if self._waiting.now:
                # at the start, and PostgreSQL went away: nothing is held that could be given back
                sink.finish(_LAST_WORDS_SECONDS)
                os._exit(os.EX_OK)
            self._drain.set()
            self._link.wake()

        def stop() -> None:
            self._stop.set()
            drain()
            self._limits.stop_attempt()

        self._limits.hear(signal.SIGTERM, drain)
        self._limits.hear(signal.SIGINT, stop)
        self._limits.hear(signal.SIGQUIT, stop)
        self._limits.start()
        self._state = ProcessState(self._seat.offer_stacks)

    def _settle_deaths(self) -> list[LogRef]:
        """Take back at once what the processes before us in this seat held: recovery must not wait for a lease time."""
        rows: list[LogRef] = []
        for death in self._seat.deaths:
            taken = self._persist(
                functools.partial(self._store.leases.reclaim, death.worker_id, WorkerDied(death.cause), death)
            )
            if taken:
                self._totals.reclaimed += len(taken)
                rows += taken
                logger.warning(
                    "dead worker's tasks taken back",
                    extra={"worker_id": death.worker_id, "cause": death.cause, "tasks": len(taken)},
                )
        if not self._stop.requested:
            self._seat.slot.settled_deaths()
        return rows

    def _register(self) -> bool:
        self._seat.slot.worker(self._identity.worker_id)
        self._persist(lambda: self._store.workers.register(self._identity))
        self._persist(lambda: self._store.leases.warm_up(self._identity.worker_id))
        return not self._stop.requested

    def _persist(self, call: Callable[[], T]) -> T | None:
        """Say it until PostgreSQL answers, or until we must stop (None)."""
        while not self._stop.requested:
            try:
                found = call()
            except StoreUnavailable as error:
                self._waiting.begins(error)
                self._stop.wait(_AFTER_FAULT_SECONDS)
            else:
                self._waiting.ends()
                return found
        return None

    def _turn(self) -> None:
        """Take what makes one claim, and work on it."""
        if not self._link.inbox.has_any():
            self._link.wait(1.0)
        deliveries = self._link.inbox.take(self._pace.batch)
        if not deliveries or self._drain.requested:
            self._link.give_up(deliveries)
        elif not self._runner.knows(deliveries[0].hint.task_type):
            self._put_off(deliveries)
        else:
            self._work(deliveries)

    def _put_off(self, deliveries: Sequence[Delivery]) -> None:
        """An old worker during a deploy does not know the type: leave the tasks in the backlog for others."""
        self._link.serve()
        try:
            self._store.backlog.put_off(_ids(deliveries), deliveries[0].hint.task_type, _UNKNOWN_TYPE_SECONDS)
        except StoreUnavailable:
            self._link.give_up(deliveries)
        else:
            logger.warning("unknown task type put off", extra={"task_type": deliveries[0].hint.task_type})
            self._link.ack(deliveries[-1])

    def _work(self, deliveries: Sequence[Delivery]) -> None:
        """Claim, ack, run, finish. The hints are acked only after the claim that named them is committed."""
        self._beat.busy()
        first = deliveries[0].hint
        if len(deliveries) > 1 or len(first.task_ids) > _TINY or not first.light:
            self._link.serve()
        self._claim_and_run(deliveries)
        paused = self._beat.idle()
        if not self._drain.requested and (paused or self._pace.prefetch != self._prefetch):
            self._prefetch = self._pace.prefetch
            self._link.consume(self._prefetch)

    def _claim_and_run(self, deliveries: Sequence[Delivery]) -> None:
        lease_id = uuid7()
        self._hold.asks(lease_id)
        try:
            tasks, rows = self._store.leases.claim(self._identity.worker_id, lease_id, _ids(deliveries))
            if not tasks:
                # a duplicate; or we were marked dead and get nothing: then the hint is for others, and we end here
                self._beat.beat()
        except StoreUnavailable as error:
            # if it landed all the same, the next heartbeat finds a lease that is not known and gives it back
            self._hold.forgets(lease_id)
            self._link.give_up(deliveries)
            logger.warning("claim failed", extra={"reason": str(error)})
            self._drain.wait(_AFTER_FAULT_SECONDS)
            return
        self._link.ack(deliveries[-1])
        if tasks:
            self._totals.claimed += len(tasks)
            self._hold.begin(lease_id, sorted(tasks, key=_by_id))
            if (
                rows
            ):  # of light tasks there are none, and what is only queued would have the outcome's event wait behind it
                self._link.publish_events(rows)
            self._run_all(len(deliveries))
        else:
            self._hold.forgets(lease_id)

    def _run_all(self, hints: int) -> None:
        tasks, light = self._hold.tasks, all(task.light for task in self._hold.tasks)
        began = time.monotonic()
        if not light:
            setproctitle(f"{self._title} {tasks[0].task_type} {tasks[0].task_id}")
        ran = 0
        for task in tasks:
            if self._stop.requested or not self._hold.starts(task):
                break
            self._seat.slot.run(task.task_id)
            self._hold.ends(self._runner.attempt(task, light))
            ran += 1
        self._restore(light)
        if not light:
            self._pace.ran_heavy()
            setproctitle(self._title)
        elif ran:
            self._pace.ran_light(tasks[0].task_type, (time.monotonic() - began) / ran, len(tasks) / hints)
        self._all_written = self._finisher.finish()
        self._files.settled()
        self._seat.slot.rest()
        if ran and self._all_written:
            self._seat.slot.worked()

    def _restore(self, light: bool) -> None:
        """Put back what the attempts have left changed; where that fails, the outcomes are written all the same, and another process follows."""
        try:
            self._state.restore(light)
        except BaseException:  # a handler that a task has left may raise anything here
            logger.exception("what a task left changed could not be put back: draining")
            self._drain.set()

    def _leave(self) -> None:
        """Return what is unclaimed, say goodbye, close. Nothing is held here: the last turn has ended."""
        self._seat.slot.state(ChildState.DRAINING)
        self._beat.stop()
        self._limits.stop()
        self._link.pause()
        self._runner.close()
        # a PostgreSQL that does not answer must not hold up the end: then a keeper finds the row
        goodbye = threading.Thread(target=self._say_goodbye, name="goodbye", daemon=True)
        goodbye.start()
        goodbye.join(_GOODBYE_SECONDS)
        self._link.stop(Deadline(_CLOSE_SECONDS))
        if not goodbye.is_alive():
            self._store.stop()

    def _say_goodbye(self) -> None:
        try:
            self._finisher.tell(self._store.workers.retire(self._identity.worker_id), ())
            self._store.workers.count(self._identity.worker_id, "worker", self._identity.node_name, self._totals)
        except StoreUnavailable as error:
            logger.warning("worker row not retired", extra={"reason": str(error)})

    def _queue_is_missing(self) -> None:
        self._beat.repair_wanted = True


def _ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [task_id for delivery in deliveries for task_id in delivery.hint.task_ids]


def _by_id(task: Claimed) -> str:
    return task.task_id
