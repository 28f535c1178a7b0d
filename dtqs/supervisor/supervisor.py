"""The loop of the supervisor: boot → supervise → drain → stop. It forks, signals and reaps.

The modules `roster`, `child` and `restart` decide; this loop acts and logs. The supervisor opens no connection and runs
no code of tasks.
"""

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence

import setproctitle

from dtqs import sink
from dtqs.config import PoolSection, SupervisorSection
from dtqs.own_program import execute
from dtqs.prctl import adopt_orphans
from dtqs.signal_name import signal_name
from dtqs.supervisor.causes import cause_of, telling_status
from dtqs.supervisor.channels import ChildChannels, SharedMemory, places_of, records_for
from dtqs.supervisor.child import Child, lease_kill_at
from dtqs.supervisor.desk import Desk
from dtqs.supervisor.ending import Ending
from dtqs.supervisor.filling import Filling
from dtqs.supervisor.handover import Handover, adopt, requirements
from dtqs.supervisor.node import NodeLock, StateFolderUnusable
from dtqs.supervisor.oom import OomWatch
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.reaping import End, children_of_ours, ended, kill_strangers, leave_nothing_behind
from dtqs.supervisor.reload import ROLLING, Reload
from dtqs.supervisor.rolling import Rolling
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.signals import HARMLESS, Signals
from dtqs.supervisor.silence import drop_stacks
from dtqs.supervisor.slot_state import SlotState
from dtqs.supervisor.spawn import ChildSpec
from dtqs.supervisor.verdict import log_consequence, log_end
from dtqs.supervisor.vitals import About, Vitals
from dtqs.supervisor.watch import Watch
from dtqs.systemd import Notifier

logger = logging.getLogger(__name__)

_TURN_SECONDS = 0.5
_EAGER_TURN_SECONDS = 0.05
"""While a child's report is due: a change of the scoreboard does not wake the supervisor."""
_LAST_WORDS_SECONDS = 0.5
"""How long the program that is replaced waits for a slow reader of its log."""


class Supervisor:
    """Keeps one child in each slot while the node lives. Call `run` once."""

    def __init__(
        self,
        section: SupervisorSection,
        specs: Sequence[ChildSpec],
        lock: NodeLock,
        hire: Callable[[str, int], ChildSpec] | None = None,
        handover: Handover | None = None,
        about: About = About(),  # noqa: B008
        pools: Mapping[str, PoolSection] | None = None,
    ) -> None:
        self._section, self._lock, self._handover = section, lock, handover
        records = handover.memory["slots"] if handover else records_for(len(specs))
        self._roster = Roster(specs, section, places_of(records), hire)
        self._channels = ChildChannels(records, lock, list(pools or ()))
        self._phase, self._exit_status = Phase.RUNNING, os.EX_OK
        self._reload, self._signals = Reload(section), Signals()
        parts = section, self._roster, self._channels
        self._rolling, self._ending, self._watch = Rolling(*parts, lock), Ending(*parts), Watch(*parts, lock)
        self._vitals = Vitals(self._roster, self._channels, lock, about)
        self._desk = Desk(*parts, lambda: self._phase, self._reload, self._signals, pools or {})
        self._filling = Filling(*parts, lock, (self._desk.close, self._signals.close, self._vitals.close))
        self._notifier = Notifier(None)
        self._oom = OomWatch(None)
        self._reason: dict[str, str] = {}
        self._born_with = frozenset[int]()

    def run(self, doomed: str = "") -> int:
        """Run until a signal ends the node. Return the exit status.

        `doomed`: the program before this one could be replaced, but this one cannot work. It only ends the children.
        """
        setproctitle.setproctitle("dtqs: supervisor")
        try:
            self._lock.acquire()
        except StateFolderUnusable as error:
            logger.critical("no identity for this node", extra={"reason": str(error)})
            return error.exit_status
        with self._lock, self._signals:
            self._boot()
            if doomed:
                self._exit_status, self._reason["reason"] = os.EX_TEMPFAIL, doomed
                self._reload.refuse(doomed)
                self._drain(doomed)
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
        self._notifier = Notifier.from_environment(os.environ)
        self._oom = OomWatch.of_own_group()
        if self._handover:
            self._adopt(self._handover)
        else:
            self._channels.begin()
            self._born_with = frozenset(children_of_ours())
            self._reload.begin(self._lock.folder, self._notifier)
        self._vitals.begin()
        self._desk.open(self._lock, goes_on=self._handover is not None)
        # children share pages that no collection writes to; one before would leave holes for their new objects
        gc.freeze()
        gc.enable()

    def _adopt(self, before: Handover) -> None:
        """Take over from the program before this one in the same process, and replace its children."""
        self._notifier.end_silence()
        self._channels.adopt(before.boot_id, SharedMemory(**before.memory))
        self._notifier.was_ready, self._born_with = before.was_ready, before.spared()
        self._reload.begin(self._lock.folder, self._notifier, before.reload_number)
        self._desk.keep(before.seats)
        for name in adopt(self._roster, before.seats, self._section):
            logger.error("the scoreboard is full: this child comes with the next reload", extra={"child": name})
        self._rolling.begin(time.monotonic())

    def _execute(self) -> None:
        """Go on as the program on disk. This returns only if that fails."""
        parts = self._lock, self._channels, self._section, self._roster
        state = Handover.of(*parts, self._notifier.was_ready, self._born_with)
        logger.info("reload: executing the code on disk")
        sink.finish(_LAST_WORDS_SECONDS)
        # the imports may take this long, and nobody pings meanwhile
        self._notifier.allow_silence(seconds := 2 * self._section.boot_timeout_seconds)
        descriptors = state.descriptors + self._vitals.allow_silence(seconds)
        try:
            with self._signals.blocked():
                # the next program would not know of it: the next turn obeys it first
                if not self._signals.are_waiting:
                    execute(state.write(self._reload.record.number), descriptors, self._notifier.environment)
        except OSError as error:
            self._reload.refuse(f"the code on disk cannot be executed: {error}")
        self._notifier.end_silence()

    def _supervise(self) -> None:
        while True:
            now = time.monotonic()
            self._watch.note_turn(now)
            self._turn(now)
            if self._is_over():
                return
            if self._reload.is_approved:
                self._execute()
            self._signals.wait(self._pause_seconds(now))

    def _turn(self, now: float) -> None:
        self._obey(now)
        self._desk.turn(now)
        self._reap(now)
        self._watch.check(now)
        self._reload.turn(now, self._roster.paused)
        self._roll(now)
        self._end_in_order(now)
        self._filling.turn(self._phase, now)
        self._tell_service_manager(now)
        self._vitals.note(now, self._phase)
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
            if number in HARMLESS:
                self._desk.obey_signal(number)
            elif number == signal.SIGHUP:
                self.reload(now)
            elif number == signal.SIGTERM and self._phase is Phase.RUNNING:
                self._drain(name)
            elif self._phase < Phase.STOPPING:
                self._stop(now, name)
            elif self._phase is Phase.STOPPING:
                self._enter(Phase.KILLING, "killing", name)

    def reload(self, now: float) -> None:
        """Check configuration and code on disk; if they are right, execute them and replace all children."""
        if self._phase is Phase.RUNNING:
            self._reload.ask(requirements(self._roster.records), now, self._roster.paused)

    def _enter(self, phase: Phase, text: str, reason: str) -> None:
        logger.info(text, extra={"reason": reason, "children": len(self._roster.pids())})
        self._phase, self._rolling.since = phase, None
        self._reload.end()
        self._notifier.stopping()

    def _drain(self, reason: str) -> None:
        self._enter(Phase.DRAINING, "draining", reason)
        self._ending.limit(time.monotonic(), self._section.drain_seconds)

    def _stop(self, now: float, reason: str) -> None:
        self._enter(Phase.STOPPING, "stopping", reason)
        self._ending.stop_workers(now)

    def _reap(self, now: float) -> None:
        dead = list(ended(lambda pid: self._roster.slot_of(pid) is not None or pid in self._reload.pids))
        self._oom.update(now)
        for end in dead:
            if (slot := self._roster.slot_of(end.pid)) and slot.child:
                self._bury(slot, slot.child, end, now)
            self._reload.reaped(end)
            self._born_with -= {end.pid}
        if dead:
            kill_strangers(self._roster.pids() | self._born_with | self._reload.pids)

    def _bury(self, slot: SlotState, child: Child, end: End, now: float) -> None:
        struck = self._oom.struck(now)
        death = self._roster.vacated(slot, child, end, self._channels.read(slot, child), now, struck)
        self._channels.ended(slot)
        if slot.leaves:
            drop_stacks(self._lock.folder, slot.spec.name, end.pid)
        cause = cause_of(child, end, struck)
        log_end(slot, end, cause, death, now - child.started_at)
        if self._phase is Phase.RUNNING and not slot.leaves:
            self._go_on_after(slot, end, cause, now)

    def _go_on_after(self, slot: SlotState, end: End, cause: str, now: float) -> None:
        """Log the consequence of a child's end. A node that was never ready ends with the reason.

        A node that was ready keeps its other slots at work.
        """
        slot.reason, refused = self._channels.last_words(slot) or cause, end.status == os.EX_CONFIG
        if not self._notifier.was_ready and (refused or self._roster.is_given_up(slot)):
            self._exit_status = telling_status(end)
            times = "" if refused else f"{slot.restart.unready} times in a row, "
            self._reason["reason"] = f"{slot.spec.name} ended {times}before it was ready: {slot.reason}"
            self._stop(now, self._reason["reason"])
        else:
            log_consequence(slot, slot.reason, now, self._section)

    def _roll(self, now: float) -> None:
        if self._phase is not Phase.RUNNING:
            return
        if self._rolling.turn(now):
            self._reload.finish()
        elif self._reload.record.state == ROLLING and (reason := self._rolling.stuck(now)):
            self._reload.finish(reason)

    def _end_in_order(self, now: float) -> None:
        if self._phase is Phase.RUNNING:
            return
        if self._phase is not Phase.KILLING and now >= self._ending.by:
            self._enter(Phase.KILLING, "killing", "the node did not end within its time")
        self._ending.turn(self._phase, now)

    def _tell_service_manager(self, now: float) -> None:
        if not self._notifier.was_ready and self._roster.all_ready():
            self._notifier.ready()
            logger.info("all children ready", extra={"children": len(self._roster.pids())})
        self._channels.note_given_up(self._roster.given_up())
        if self._phase is Phase.RUNNING:
            self._notifier.status(self._roster.summary() + self._reload.told)
        else:
            self._notifier.status(f"{self._phase.name.lower()}: {len(self._roster.pids())} children left")
            self._notifier.extend(now)
        self._notifier.ping(now)

    def _pause_seconds(self, now: float) -> float:
        """Return the seconds until the next turn. A signal ends the pause before."""
        eager = any(child.report_is_due for _, child in self._roster.taken())
        records = [self._channels.read(slot, child) for slot, child in self._roster.taken()]
        due = [self._ending.by, self._desk.next_end(), *self._roster.steps()]
        due += [min(record.kill_at, lease_kill_at(record)) for record in records if record.kill_at]
        # times in the past were handled in this turn, or cannot be handled
        ahead = [at - now for at in due if at > now]
        return min(_EAGER_TURN_SECONDS if eager else _TURN_SECONDS, self._notifier.turn_seconds, *ahead)

    def _leave_nothing_behind(self) -> None:
        """Kill the remaining processes: at an ordinary end only strangers, after an exception the children as well."""
        for _, child in self._roster.taken():
            child.kill(time.monotonic())
        leave_nothing_behind(self._born_with, self._signals.wait)
