"""The loop of the supervisor: boot → supervise → drain → stop. It forks, signals and reaps.

The modules `roster`, `child` and `restart` decide; this loop acts and logs. The supervisor opens no connection and runs
no code of tasks.
"""

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence

import setproctitle

from dtqs import sink
from dtqs.config import SupervisorSection
from dtqs.prctl import adopt_orphans
from dtqs.signal_name import signal_name
from dtqs.supervisor.channels import ChildChannels, slots_for
from dtqs.supervisor.child import Child
from dtqs.supervisor.node import NodeLock, StateFolderUnusable
from dtqs.supervisor.oom import OomWatch
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.reaping import End, children_of_ours, ended, kill_strangers, leave_nothing_behind
from dtqs.supervisor.rolling import Rolling
from dtqs.supervisor.roster import Roster, SlotState, cause_of, telling_status
from dtqs.supervisor.signals import Signals
from dtqs.supervisor.spawn import ChildSpec, spawn
from dtqs.supervisor.verdict import log_consequence
from dtqs.supervisor.watch import Watch
from dtqs.systemd import Notifier

logger = logging.getLogger(__name__)

_TURN_SECONDS = 0.5
_EAGER_TURN_SECONDS = 0.05
"""While a child's report is due: a change of the scoreboard does not wake the supervisor."""
_STOPS_TO_END = 3
"""After the drain the node may take this many times `stop_seconds`: for workers, their replacements, and the keeper."""


class Supervisor:
    """Keeps one child in each slot while the node lives. Call `run` once."""

    def __init__(
        self,
        section: SupervisorSection,
        specs: Sequence[ChildSpec],
        lock: NodeLock,
        hire: Callable[[str, int], ChildSpec] | None = None,
    ) -> None:
        self._section, self._lock = section, lock
        slots = slots_for(len(specs))
        self._roster = Roster(specs, section, slots, hire)
        self._channels = ChildChannels(slots, lock)
        self._rolling = Rolling(section, self._roster, self._channels)
        self._watch = Watch(section, self._roster, self._channels, lock)
        self._signals = Signals()
        self._notifier = Notifier(None)
        self._oom = OomWatch(None)
        self._reason: dict[str, str] = {}
        self._phase, self._exit_status = Phase.RUNNING, os.EX_OK
        self._was_ready = False
        self._end_by = float("inf")
        self._born_with: frozenset[int] = frozenset()

    def run(self) -> int:
        """Run until a signal ends the node. Return the exit status."""
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
        self._channels.begin()
        self._notifier = Notifier.from_environment(os.environ)
        self._oom = OomWatch.of_own_group()
        self._born_with = frozenset(children_of_ours())
        identity = {
            "pid": os.getpid(),
            "node_id": self._lock.node_id,
            "boot_id": self._channels.boot_id,
            "children": len(self._roster.seats),
        }
        logger.info("supervisor started", extra=identity)
        # all modules are imported by now; a collection writes to no page of frozen objects, so children share these
        gc.collect()
        gc.freeze()

    def _supervise(self) -> None:
        while True:
            now = time.monotonic()
            self._watch.note_turn(now)
            self._turn(now)
            if self._is_over():
                return
            self._signals.wait(self._pause_seconds(now))

    def _turn(self, now: float) -> None:
        self._obey(now)
        self._reap(now)
        self._watch.check(now)
        self._roll(now)
        self._end_in_order(now)
        self._fill(now)
        self._tell_service_manager(now)
        sink.flush()

    def _is_over(self) -> bool:
        """Tell whether the node may end: no child is left, and no death that a replacement could settle."""
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
            self._roster.try_again()
            self._notifier.reloading()
            self._rolling.begin(now)

    def _enter(self, phase: Phase, text: str, reason: str) -> None:
        logger.info(text, extra={"reason": reason, "children": len(self._roster.pids())})
        self._phase, self._rolling.since = phase, None
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
        self._oom.update(now)
        for end in dead:
            if (seat := self._roster.seat_of(end.pid)) and seat.child:
                self._bury(seat, seat.child, end, now)
            self._born_with -= {end.pid}
        if dead:
            kill_strangers(self._roster.pids() | self._born_with)

    def _bury(self, seat: SlotState, child: Child, end: End, now: float) -> None:
        struck = self._oom.struck(now)
        death = self._roster.vacated(seat, child, end, self._channels.read(seat, child), now, struck)
        self._channels.ended(seat)
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
        if self._phase is Phase.RUNNING and not seat.leaves:
            by_task = death is not None and death.task_id is not None
            self._go_on_after(seat, end, cause_of(child, end, struck), by_task, now)

    def _go_on_after(self, seat: SlotState, end: End, cause: str, by_task: bool, now: float) -> None:
        """Log the consequence of a child's end. A node that was never ready ends with the reason.

        A node that was ready keeps its other slots at work.
        """
        reason, refused = self._channels.last_words(seat) or cause, end.status == os.EX_CONFIG
        if not self._was_ready and (refused or self._roster.is_given_up(seat)):
            self._exit_status = telling_status(end)
            times = "" if refused else f"{seat.restart.unready} times in a row, "
            self._reason["reason"] = f"{seat.spec.name} ended {times}before it was ready: {reason}"
            self._stop(now, self._reason["reason"])
        else:
            log_consequence(seat, reason, by_task, now, self._section)

    def _roll(self, now: float) -> None:
        if self._phase is Phase.RUNNING and self._rolling.turn(now):
            self._notifier.ready()

    def _end_in_order(self, now: float) -> None:
        """Drain the workers first, with the grace period, then the children that serve them."""
        if self._phase is Phase.RUNNING:
            return
        if self._phase is not Phase.KILLING and now >= self._end_by:
            self._enter(Phase.KILLING, "killing", "the node did not end within its time")
        workers_gone = self._roster.workers_gone()
        for seat, child in self._roster.taken():
            if self._phase is Phase.KILLING:
                child.kill(now)
            elif seat.spec.is_worker:
                # this leaves replacements that only settle deaths, and children that stop already, as they are
                child.drain(self._channels.read(seat, child), now, self._section.drain_seconds)
            elif workers_gone:
                child.drain(self._channels.read(seat, child), now, self._section.stop_seconds)

    def _fill(self, now: float) -> None:
        if self._phase is Phase.RUNNING:
            for seat in self._roster.vacant(now):
                self._fork(seat, now, settler=False)
            self._settle(now, self._section.leaving_seconds, running=True)
        elif self._phase is not Phase.KILLING:
            self._settle(now, self._section.stop_seconds, running=False)

    def _settle(self, now: float, seconds: float, running: bool) -> None:
        """Fork the children that only take back the leases of dead ones, and ask them to end when that is done."""
        for seat in self._roster.owing(running):
            if child := self._fork(seat, now, settler=True):
                child.drain(self._channels.read(seat, child), now, seconds, patient=running)

    def _fork(self, seat: SlotState, now: float, settler: bool) -> Child | None:
        try:
            pid = spawn(seat.spec, self._channels.start_of(seat), self._leave_to_parent, self._lock.folder)
        except OSError as error:
            self._roster.not_filled(seat, now, settler)
            logger.error("fork failed", extra={"child": seat.spec.name, "reason": str(error)})
            return None
        logger.info("child started", extra={"child": seat.spec.name, "pid": pid, "deaths": len(seat.deaths)})
        return self._roster.filled(seat, pid, now, settler)

    def _leave_to_parent(self) -> None:
        """Close a new child's copies of its parent's descriptors."""
        self._signals.close()
        self._lock.release()
        self._channels.close()

    def _tell_service_manager(self, now: float) -> None:
        ready = sum(child.seen_ready for _, child in self._roster.taken())
        if not self._was_ready and self._roster.all_ready():
            self._was_ready = True
            self._notifier.ready()
            logger.info("all children ready", extra={"children": ready})
        if self._phase is Phase.RUNNING:
            self._notifier.status(self._roster.summary())
        else:
            self._notifier.status(f"{self._phase.name.lower()}: {len(self._roster.pids())} children left")
            self._notifier.extend(now)
        self._notifier.ping(now)

    def _pause_seconds(self, now: float) -> float:
        """Return the seconds until the next turn. A signal ends the pause before."""
        eager = any(child.report_is_due for _, child in self._roster.taken())
        due = [self._end_by, *self._roster.steps()] + [
            self._channels.read(seat, child).kill_at for seat, child in self._roster.taken()
        ]
        # times in the past were handled in this turn, or cannot be handled
        ahead = [at - now for at in due if at > now]
        return min(_EAGER_TURN_SECONDS if eager else _TURN_SECONDS, self._notifier.turn_seconds, *ahead)

    def _leave_nothing_behind(self) -> None:
        """Kill the remaining processes: at an ordinary end only strangers, after an exception the children as well."""
        for _, child in self._roster.taken():
            child.kill(time.monotonic())
        leave_nothing_behind(self._born_with, self._signals.wait)
