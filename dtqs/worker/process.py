"""A worker process from its fork to its end: consume → claim → run → finish, until a drain or a stop."""

import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter

from setproctitle import setproctitle

from dtqs import log, naming, sink
from dtqs.broker.consumer import Delivery, ids_of
from dtqs.broker.worker_link import WorkerLink
from dtqs.config import Config, queues_of
from dtqs.deadline import Deadline, Stop
from dtqs.errors import StoreUnavailable
from dtqs.files import FileSpace
from dtqs.prctl import adopt_orphans
from dtqs.processors.catalog import Catalog
from dtqs.scoreboard import ChildState
from dtqs.settlement import Settlement
from dtqs.store import Store
from dtqs.store.driver.kept import KeptDatabase
from dtqs.store.workers import ProcessTotals
from dtqs.task import Claimed
from dtqs.tracing import worker_traces
from dtqs.worker.arrival import Waiting, arrive
from dtqs.worker.beat import Beat, BeatParts
from dtqs.worker.claims import Claims
from dtqs.worker.detour import Detour
from dtqs.worker.finisher import Finisher
from dtqs.worker.hold import Hold
from dtqs.worker.limits import AttemptLimits
from dtqs.worker.own_lease import OwnLease
from dtqs.worker.pace import Pace
from dtqs.worker.process_state import ProcessState
from dtqs.worker.reports import WorkerReporter
from dtqs.worker.runner import Runner
from dtqs.worker.seat import WorkerSeat
from dtqs.worker.startup import Startup
from dtqs.worker.wear import Wear

logger = logging.getLogger(__name__)
_STORE_CONNECTIONS = 2
_CLOSE_SECONDS = 2.0
_GOODBYE_SECONDS = 2.0
_LAST_WORDS_SECONDS = 0.2
_AFTER_FAULT_SECONDS = 0.2
_TINY = 4
"""A hint of up to this many light tasks is done before the I/O thread would wake up: the main thread keeps the loop."""


class Worker:
    """One worker process. `run` is its whole life."""

    def __init__(self, config: Config, catalog: Catalog, seat: WorkerSeat) -> None:
        self._seat, self._config = seat, config
        pool, routes = config.pools[seat.pool], config.routes
        self._final_types, installed = catalog.final_types(), catalog.names()
        catalog = catalog.only(pool.task_types)
        queues = queues_of(pool, routes)
        self._detour = Detour(installed, lambda task_type: routes.queue_of(task_type) in queues)
        self._identity = seat.identity(catalog.names(), queues, config.lease.lease_seconds)
        self._title = f"dtqs: worker {seat.pool}/{seat.number}"
        self._drain, self._stop, self._waiting = Stop(), Stop(), Waiting(seat.slot)
        self._totals = ProcessTotals(routes=routes.text)
        self._hold, self._pace = Hold(), Pace(pool.batch_seconds, pool.batch_limit)
        self._prefetch, self._all_written, self._busy_seconds = self._pace.prefetch, True, 0.0
        self._lease = OwnLease(seat.slot, config.lease.lease_seconds)
        self._limits = AttemptLimits(seat.slot, config.supervisor.hard_limit_seconds, self._lease)
        self._store = Store(
            config.postgresql, config.lease, _STORE_CONNECTIONS, self._title, KeptDatabase, config.retry
        )
        self._link = WorkerLink(
            config.rabbitmq, self._title, self._note_cancel, lambda *missed: self._beat.note_missing(*missed),
            routes, queues, self._pace.batch,
        )  # fmt: skip
        self._finisher = Finisher(
            self._identity.worker_id, self._store, self._link, self._hold, self._totals, lambda: self._stop.requested
        )
        self._claims = Claims(self._identity.worker_id, self._store, self._link, self._hold)
        reports = WorkerReporter(self._store, self._link, self._hold, self._limits)
        self._files = FileSpace(config.files, self._identity.worker_id)
        self._runner = Runner(catalog, self._files, reports, self._limits, config.retry, reports.permit)
        self._wear = Wear(seat.pool, pool)
        parts = BeatParts(
            self._identity, self._store, self._link, self._hold, self._limits, self._finisher, self._claims,
            self._totals, self._wear, seat.slot,
        )  # fmt: skip
        carries = config.rabbitmq.event_outcomes
        self._beat = Beat(parts, config.lease, pool.moment_seconds, lambda: self._drain.requested, routes, carries)

    def run(self) -> int:
        """Run until a drain or a stop. Return the exit status."""
        boot_seconds = self._config.supervisor.boot_timeout_seconds
        if fault := arrive(self._config.postgresql, self._title, self._waiting, boot_seconds):
            status, reason = fault
            self._seat.last_words(reason)
            return status
        log.add_fields(lambda: {"worker_id": self._identity.worker_id, **self._hold.log_fields()})
        self._handle_signals()
        adopt_orphans()
        self._store.start()
        startup = Startup(
            self._seat, self._identity, self._store, self._waiting, self._stop, boot_seconds, self._final_types
        )
        if refused := startup.schema_refusal():
            logger.critical("cannot work on this database", extra={"reason": refused})
            self._seat.last_words(refused)
            return os.EX_CONFIG
        if too_low := self._wear.refusal():
            logger.critical("the configuration leaves no memory for a task", extra={"reason": too_low})
            self._seat.last_words(too_low)
            return os.EX_CONFIG
        settled = startup.settle_deaths(self._totals)
        if not startup.register(self._lease):
            return os.EX_OK
        # after the fork, and before there is a thread that a child of an attempt could miss while it imports
        self._traces = worker_traces(self._config.trace, self._identity.worker_id, self._totals.tally)
        self._link.start()
        self._beat.start()
        self._seat.slot.state(ChildState.READY)
        self._finisher.announce(settled, ())
        if not self._drain.wait(self._seat.wait_seconds):
            self._link.consume(self._pace.prefetch)
        while not self._drain.requested:
            self._turn()
            if worn := self._wear.reason:
                self._ask_for_successor(worn)
        self._leave()
        # EX_TEMPFAIL tells the supervisor that leases are left, so the next process in this slot takes them back
        return os.EX_OK if self._all_written else os.EX_TEMPFAIL

    def _note_cancel(self, task_ids: list[str]) -> None:
        self._beat.note_cancel(task_ids)

    def _handle_signals(self) -> None:
        def drain() -> None:
            if self._waiting.is_on:
                # PostgreSQL went down during the start: this process holds nothing that it could give back
                sink.finish(_LAST_WORDS_SECONDS)
                os._exit(os.EX_OK)
            self._drain.set()
            self._link.wake()

        def stop() -> None:
            self._stop.set()
            drain()
            self._limits.stop_attempt()

        self._limits.on_signal(signal.SIGTERM, drain)
        self._limits.on_signal(signal.SIGINT, stop)
        self._limits.on_signal(signal.SIGQUIT, stop)
        self._limits.start()
        self._state = ProcessState(self._seat.offer_stacks)

    def _ask_for_successor(self, worn: str) -> None:
        """Drain, to be replaced. No task runs here now."""
        logger.info("worker is replaced", extra={"reason": worn})
        self._seat.slot.leaves()
        self._drain.set()

    def _turn(self) -> None:
        """Take the deliveries of one claim, and work on them."""
        if not self._link.inbox.has_any():
            self._link.wait(1.0)
        deliveries = self._link.inbox.take(self._pace.batch)
        if not deliveries or self._drain.requested:
            self._link.give_up(deliveries)
        elif self._lease.is_ending(time.monotonic()):
            self._wait_for_heartbeat(deliveries)
        else:
            self._beat.busy()
            work = self._work if self._runner.knows(deliveries[0].hint.task_type) else self._put_off
            work(deliveries)
            self._be_idle()

    def _put_off(self, deliveries: Sequence[Delivery]) -> None:
        """Leave tasks of a type that does not run here to other workers."""
        self._link.serve()
        task_type, task_ids = deliveries[0].hint.task_type, ids_of(deliveries)
        try:
            self._claims.put_off(task_ids, task_type, *self._detour.pause(task_type, task_ids))
        except StoreUnavailable:
            self._wait_for_heartbeat(deliveries)
        else:
            self._link.ack(deliveries[-1])

    def _work(self, deliveries: Sequence[Delivery]) -> None:
        """Claim, ack, run, finish. The hints are acked only after the commit of their claim."""
        first = deliveries[0].hint
        # a heavy task keeps the loop too: the I/O thread takes it back after 0.1 s, and many heavy tasks end before
        if len(deliveries) > 1 or len(first.task_ids) > _TINY:
            self._link.serve()
        self._claim_and_run(deliveries)

    def _be_idle(self) -> None:
        """Consume again if the beat thread has paused the consumer, or if another number of hints is right now."""
        paused = self._beat.idle()
        if not self._drain.requested and (paused or self._pace.prefetch != self._prefetch):
            self._prefetch = self._pace.prefetch
            self._link.consume(self._prefetch)

    def _claim_and_run(self, deliveries: Sequence[Delivery]) -> None:
        self._claim_began, task_ids = time.monotonic(), ids_of(deliveries)
        self._seat.slot.claim(task_ids)
        try:
            lease_id, tasks, rows = self._claims.claim(task_ids, deliveries[0].hint.task_type)
            if not tasks:
                self._seat.slot.rest()
                # a duplicate hint; or this worker is marked dead: then beat() ends it, and others get the hint
                self._beat.beat()
        except StoreUnavailable as error:
            self._seat.slot.rest()
            logger.warning("claim failed", extra={"reason": str(error), **naming.of_ids(task_ids)})
            self._wait_for_heartbeat(deliveries)
            return
        self._link.ack(deliveries[-1])
        if tasks:
            self._totals.claimed += len(tasks)
            self._hold.begin(lease_id, sorted(tasks, key=attrgetter("task_id")))
            # light tasks have no rows
            if rows:
                self._link.publish_events_now(rows)
            self._run_all(len(deliveries))

    def _wait_for_heartbeat(self, deliveries: Sequence[Delivery]) -> None:
        """Return these and take nothing until a heartbeat succeeds: PostgreSQL may be out of reach only here."""
        self._link.give_up(deliveries)
        self._link.pause()
        if self._beat.persist(lambda: self._drain.wait(_AFTER_FAULT_SECONDS) or bool(self._wear.reason)):
            self._prefetch = self._pace.prefetch
            self._link.consume(self._prefetch)

    def _run_all(self, hints: int) -> None:
        tasks, light = self._hold.tasks, all(task.light for task in self._hold.tasks)
        if not light:
            setproctitle(f"{self._title} {tasks[0].task_type} {tasks[0].task_id}")
        times, settlements = list[float](), list[Settlement]()
        for task in tasks:
            if self._stop.requested or not self._hold.start(task):
                break
            times.append(self._hold.attempt_began)
            self._seat.slot.run(task.task_id)
            settlements.append(self._runner.attempt(task, light))
            self._hold.end(settlements[-1])
        times.append(time.monotonic())
        ran = len(times) - 1
        self._restore(light)
        if not light:
            self._pace.ran_heavy()
            setproctitle(self._title)
        elif ran:
            self._pace.ran_light(tasks[0].task_type, (times[-1] - times[0]) / ran, len(tasks) / hints)
        self._all_written = self._finisher.finish()
        self._observe(tasks, times)
        if self._traces and ran:
            claimed, finished = (self._claim_began, self._hold.began), (times[-1], time.monotonic())
            self._traces.note(tasks, times, settlements, claimed, finished, self._all_written)
        self._files.settled()
        self._seat.slot.rest()
        self._wear.ran(ran, light)
        self._busy_seconds += times[-1] - times[0] if ran else 0.0
        self._seat.slot.served(self._wear.tasks, self._busy_seconds)
        if ran and self._all_written:
            self._seat.slot.worked()

    def _observe(self, tasks: Sequence[Claimed], times: Sequence[float]) -> None:
        """Note the waits and runs of a claim. An attempt of a batch ends where the next one begins."""
        task_type, tally = tasks[0].task_type, self._totals.tally
        tally.observe("wait", task_type, [task.waited_ms / 1000 for task in tasks])
        tally.observe("run", task_type, [end - begin for begin, end in pairwise(times)])

    def _restore(self, light: bool) -> None:
        """Restore the process state after attempts. If that fails, write the outcomes all the same, then drain."""
        try:
            self._state.restore(light)
        except BaseException:  # a signal handler that a task has left may raise any exception here
            logger.exception("could not restore the process state that a task has changed: draining")
            self._drain.set()

    def _leave(self) -> None:
        """Return unclaimed hints, retire the worker's row, and close. The last turn has ended, so no lease is held."""
        self._seat.slot.state(ChildState.DRAINING)
        self._beat.stop()
        self._limits.stop()
        self._link.pause()
        self._runner.close()
        if self._traces:
            self._traces.stop()
        # PostgreSQL may not answer, and must not delay the end: then a keeper finds the row
        goodbye = threading.Thread(target=self._beat.retire, name="goodbye", daemon=True)
        goodbye.start()
        goodbye.join(_GOODBYE_SECONDS)
        self._link.stop(Deadline(_CLOSE_SECONDS))
        if not goodbye.is_alive():
            self._store.stop()
