"""The supervisor: boot → supervise → drain → stop. It forks, watches, signals and reaps; it opens no connection and runs no task code.

What is to happen is decided in `roster`, `child` and `restart`; this loop reads clock and scoreboard, acts, and says what it did.
"""

import gc
import logging
import os
import signal
import time
from collections.abc import Sequence

import setproctitle

from dtqs import sink
from dtqs.config import SupervisorSection
from dtqs.prctl import adopt_orphans
from dtqs.scoreboard import ChildState, SlotRecord
from dtqs.signal_name import signal_name
from dtqs.supervisor.births import Births
from dtqs.supervisor.child import SILENT, Child
from dtqs.supervisor.node import NodeLock, StateFolderUnusable
from dtqs.supervisor.oom import OomWatch
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.reaping import End, children_of_ours, ended, kill_strangers, leave_nothing_behind
from dtqs.supervisor.roster import Roster, SlotState, cause_of, telling_status
from dtqs.supervisor.signals import Signals
from dtqs.supervisor.silence import keep_stacks
from dtqs.supervisor.spawn import ChildSpec, spawn
from dtqs.supervisor.verdict import tell_what_follows
from dtqs.systemd import Notifier

logger = logging.getLogger(__name__)

_TURN_SECONDS = 0.5
_EAGER_TURN_SECONDS = 0.05
"""While a child's word is waited for: the scoreboard wakes nobody."""
_ASLEEP_SECONDS = 2.0
"""A turn that comes so much later than the last one says that this process, or the machine, was frozen."""
_STOPS_TO_END = 3
"""So many times `stop_seconds` the node's end may take beyond the drain: one for its workers, one for those that settle for them, one for the keeper."""


class Supervisor:
    """Keeps one child in each slot for the node's life. `run` is called once."""

    def __init__(self, section: SupervisorSection, specs: Sequence[ChildSpec], lock: NodeLock) -> None:
        self._section, self._lock = section, lock
        self._roster = Roster(specs, section)
        self._births = Births(self._roster.seats, lock)
        self._signals = Signals()
        self._notifier = Notifier(None)
        self._oom = OomWatch(None)
        self._reason: dict[str, str] = {}
        self._phase, self._exit_status = Phase.RUNNING, os.EX_OK
        self._was_ready = False
        self._end_by = float("inf")
        self._roll_since: float | None = None
        self._awake_since = float("-inf")
        self._born_with: frozenset[int] = frozenset()

    def run(self) -> int:
        """Run until the node is told to end. Returns an exit status."""
        setproctitle.setproctitle("dtqs: supervisor")
        try:
            self._lock.acquire()
        except StateFolderUnusable as error:
            logger.critical("no identity for this node", extra={"reason": str(error)})
            return error.exit_status
        with self._lock, self._signals:
            self._boot()
            try:
                self._supervise()
            finally:
                self._leave_nothing_behind()
        logger.log(
            logging.CRITICAL if self._reason else logging.INFO,
            "stopped",
            extra={"status": self._exit_status, **self._reason},
        )
        return self._exit_status

    def _boot(self) -> None:
        adopt_orphans()
        self._births.begin()
        self._notifier = Notifier.from_environment(os.environ)
        self._oom = OomWatch.of_own_group()
        self._born_with = frozenset(children_of_ours())
        identity = {
            "pid": os.getpid(),
            "node_id": self._lock.node_id,
            "boot_id": self._births.boot_id,
            "children": len(self._roster.seats),
        }
        logger.info("supervisor started", extra=identity)
        # everything is imported by now: what is frozen is never written to by a collection, and stays shared
        gc.collect()
        gc.freeze()

    def _supervise(self) -> None:
        last_turn_at = now = time.monotonic()
        while True:
            if now - last_turn_at > _ASLEEP_SECONDS:
                self._awake_since = now
            last_turn_at = now
            self._turn(now)
            if self._over():
                return
            self._signals.wait(self._pause(now))
            now = time.monotonic()

    def _turn(self, now: float) -> None:
        self._obey(now)
        self._reap(now)
        self._watch(now)
        self._roll(now)
        self._end_in_order(now)
        self._fill(now)
        self._tell_service_manager(now)
        sink.flush()

    def _over(self) -> bool:
        """Tell whether nothing is left to wait for."""
        now = time.monotonic()
        waiting = any(not child.beyond_reach(now) for _, child in self._roster.taken())
        return (
            self._phase is not Phase.RUNNING
            and not waiting
            and (self._phase is Phase.KILLING or not self._roster.owing())
        )

    def _obey(self, now: float) -> None:
        for number in self._signals.take():
            name = signal_name(number)
            if number == signal.SIGHUP:
                self._ask_to_roll(now)
            elif number == signal.SIGTERM and self._phase is Phase.RUNNING:
                self._enter(Phase.DRAINING, "draining", name)
                self._limit_end(now, self._section.drain_seconds)
            elif self._phase < Phase.STOPPING:
                self._stop(now, name)
            elif self._phase is Phase.STOPPING:
                self._enter(Phase.KILLING, "killing", name)

    def _ask_to_roll(self, now: float) -> None:
        if self._phase is Phase.RUNNING:
            self._roll_since = now
            self._roster.try_again()
            self._notifier.reloading()
            logger.info("rolling restart", extra={"children": len(self._roster.seats)})

    def _enter(self, phase: Phase, text: str, reason: str) -> None:
        logger.info(text, extra={"reason": reason, "children": len(self._roster.pids())})
        self._phase, self._roll_since = phase, None
        self._notifier.stopping()

    def _limit_end(self, now: float, drain_seconds: float) -> None:
        self._end_by = min(self._end_by, now + drain_seconds + _STOPS_TO_END * self._section.stop_seconds)

    def _stop(self, now: float, reason: str) -> None:
        self._enter(Phase.STOPPING, "stopping", reason)
        self._limit_end(now, 0.0)
        for seat, child in self._roster.taken():
            if seat.spec.is_worker:
                child.stop(now)

    def _reap(self, now: float) -> None:
        dead = list(ended(lambda pid: self._roster.seat_of(pid) is not None))
        self._oom.look(now)
        for end in dead:
            if (seat := self._roster.seat_of(end.pid)) and seat.child:
                self._bury(seat, seat.child, end, now)
            self._born_with -= {end.pid}
        if dead:
            kill_strangers(self._roster.pids() | self._born_with)

    def _bury(self, seat: SlotState, child: Child, end: End, now: float) -> None:
        struck = self._oom.struck(now)
        death = self._roster.vacated(seat, child, end, self._births.read(seat, child), now, struck)
        self._births.ended(seat)
        level = logging.INFO if end.status == 0 and not death else logging.WARNING
        fields = {
            "child": seat.spec.name,
            "pid": end.pid,
            "cause": cause_of(child, end, struck),
            "lived_seconds": round(now - child.started_at, 1),
        }
        logger.log(
            level,
            "child ended",
            extra=fields | {"max_rss_bytes": end.max_rss_bytes, "task_id": death.task_id if death else None},
        )
        if self._phase is Phase.RUNNING:
            self._go_on_after(seat, end, cause_of(child, end, struck), now)

    def _go_on_after(self, seat: SlotState, end: End, cause: str, now: float) -> None:
        """Say what follows a child's end; a node that was never ready ends with the reason, one that was keeps its other slots at work."""
        words, refused = self._births.last_words(seat) or cause, end.status == os.EX_CONFIG
        if not self._was_ready and (refused or self._roster.is_given_up(seat)):
            self._exit_status = telling_status(end)
            times = "" if refused else f"{seat.restart.unready} times in a row, "
            self._reason["reason"] = f"{seat.spec.name} ended {times}before it was ready: {words}"
            self._stop(now, self._reason["reason"])
        else:
            tell_what_follows(seat, words, now, self._section)

    def _watch(self, now: float) -> None:
        for seat, child in self._roster.taken():
            record = self._births.read(seat, child)
            if record.state in (ChildState.READY, ChildState.DRAINING) and not child.seen_ready:
                child.is_ready(now)
                seat.restart = seat.restart.after_ready()
                logger.info("child ready", extra={"child": seat.spec.name, "pid": child.pid})
            if record.worked:
                seat.restart = seat.restart.after_work()
            child.remind(record)
            self._kill_overdue(seat, child, record, now)
            before = child.stage
            child.escalate(now)
            if child.stage is not before:
                logger.warning(
                    "child did not end in time",
                    extra={"child": seat.spec.name, "pid": child.pid, "next": child.stage.name.lower()},
                )

    def _kill_overdue(self, seat: SlotState, child: Child, record: SlotRecord, now: float) -> None:
        cause = child.overdue(record, now, self._awake_since)
        if cause is None:
            child.is_heard()
            return
        fields: dict[str, object] = {
            "child": seat.spec.name,
            "pid": child.pid,
            "cause": cause,
            "task_id": record.task_id,
        }
        if cause.startswith(SILENT):
            if (threads := child.last_words(record, now, self._awake_since)) is None:
                return
            fields |= {"threads": threads, "stacks": keep_stacks(self._lock.folder, seat.spec.name, child.pid)}
        logger.warning("killing child", extra=fields)
        child.kill(now, cause)

    def _roll(self, now: float) -> None:
        if self._roll_since is None:
            return
        if self._roster.rolled(self._roll_since):
            self._roll_since = None
            self._notifier.ready()
            logger.info("rolling restart done")
        elif (seat := self._roster.to_roll(self._roll_since)) and seat.child:
            seat.child.drain(self._births.read(seat, seat.child), now, self._section.drain_seconds)

    def _end_in_order(self, now: float) -> None:
        """Once the node is to end: the workers first, with the grace period; then those that served them."""
        if self._phase is Phase.RUNNING:
            return
        if self._phase is not Phase.KILLING and now >= self._end_by:
            self._enter(Phase.KILLING, "killing", "the node's time to end is over")
        workers_gone = self._roster.workers_gone()
        for seat, child in self._roster.taken():
            if self._phase is Phase.KILLING:
                child.kill(now)
            elif seat.spec.is_worker:
                # a replacement that came only to settle, or one asked to stop already, is left as it is
                child.drain(self._births.read(seat, child), now, self._section.drain_seconds)
            elif workers_gone:
                child.drain(self._births.read(seat, child), now, self._section.stop_seconds)

    def _fill(self, now: float) -> None:
        if self._phase is Phase.RUNNING:
            for seat in self._roster.vacant(now):
                self._fork(seat, now, settler=False)
        elif self._phase is not Phase.KILLING:
            for seat in self._roster.owing():
                if child := self._fork(seat, now, settler=True):
                    child.drain(self._births.read(seat, child), now, self._section.stop_seconds)

    def _fork(self, seat: SlotState, now: float, settler: bool) -> Child | None:
        try:
            pid = spawn(seat.spec, self._births.start_of(seat), self._leave_to_parent, self._lock.folder)
        except OSError as error:
            self._roster.not_filled(seat, now, settler)
            logger.error("fork failed", extra={"child": seat.spec.name, "reason": str(error)})
            return None
        logger.info("child started", extra={"child": seat.spec.name, "pid": pid, "deaths": len(seat.deaths)})
        return self._roster.filled(seat, pid, now, settler)

    def _leave_to_parent(self) -> None:
        """Close a fresh child's copies of what is its parent's."""
        self._signals.close()
        self._lock.release()

    def _tell_service_manager(self, now: float) -> None:
        ready = sum(child.seen_ready for _, child in self._roster.taken())
        if not self._was_ready and self._roster.all_ready():
            self._was_ready = True
            self._notifier.ready()
            logger.info("all children ready", extra={"children": ready})
        if self._phase is Phase.RUNNING:
            self._notifier.status(self._roster.words())
        else:
            self._notifier.status(f"{self._phase.name.lower()}: {len(self._roster.pids())} children left")
            self._notifier.extend(now)
        self._notifier.ping(now)

    def _pause(self, now: float) -> float:
        """Seconds until the next turn, unless a signal comes before."""
        eager = any(child.waits_for_word for _, child in self._roster.taken())
        due = [self._end_by, *self._roster.steps()] + [
            self._births.read(seat, child).kill_at for seat, child in self._roster.taken()
        ]
        # what lies behind has been acted on in this turn, or cannot be
        ahead = [at - now for at in due if at > now]
        return min(_EAGER_TURN_SECONDS if eager else _TURN_SECONDS, self._notifier.turn_seconds, *ahead)

    def _leave_nothing_behind(self) -> None:
        """Kill what is left: on the ordinary way out only strangers, after an error of our own the children too."""
        for _, child in self._roster.taken():
            child.kill(time.monotonic())
        leave_nothing_behind(self._born_with, self._signals.wait)
