"""Replaces children one after the other: a new child is ready before the old one is asked to leave."""

import logging

from dtqs.config import SupervisorSection
from dtqs.scoreboard import ChildState
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.silence import set_stacks_aside

logger = logging.getLogger(__name__)
_STUCK_AFTER = 3
"""After this many new children in a row that were never ready, nobody should wait for the rolling restart."""
_BEYOND_SECONDS = 5.0
"""A new child may take boot_timeout_seconds to become ready. After this much more without any step, nobody waits."""


class Rolling:
    """The rolling restart of a node. `since` is the time of its request, or None."""

    def __init__(self, section: SupervisorSection, roster: Roster, channels: ChildChannels, lock: NodeLock) -> None:
        self._section, self._roster, self._channels, self._lock = section, roster, channels, lock
        self.since: float | None = None
        self._moved_at, self._place = 0.0, (0, 0)

    def begin(self, since: float) -> None:
        """Replace all children that were started before this time."""
        self.since = self._moved_at = since
        logger.info("rolling restart", extra={"children": len(self._roster.slots)})

    def stuck(self, now: float) -> str | None:
        """Return why a new child does not become ready, or None. The old ones work on."""
        if self.since is None:
            return None
        for slot in self._roster.slots:
            if slot.restart.unready >= min(_STUCK_AFTER, self._section.restart_limit):
                words = self._channels.last_words(slot) or "it gave no reason"
                return f"{slot.spec.name} ended {slot.restart.unready} times in a row before it was ready: {words}"
        seconds = now - self._moved_at
        if seconds < self._section.boot_timeout_seconds + _BEYOND_SECONDS:
            return None
        return f"no step for {seconds:.0f} s: {self._obstacle(self.since)}"

    def _obstacle(self, since: float) -> str:
        """Return what a rolling restart waits for."""
        slot = self._roster.late(since)
        if slot is None:
            return "a leaving worker has not been asked yet"
        child = slot.child
        if child and child.started_at < since and child.seen_ready:
            count = len(self._roster.leaving)
            return f"{slot.spec.name} waits for room in the scoreboard: {count} leaving children finish their tasks"
        if child and self._channels.read(slot, child).state is ChildState.WAITING:
            return f"{slot.spec.name} waits for PostgreSQL"
        if child:
            return f"{slot.spec.name} is not ready yet"
        return f"{slot.spec.name} ended ({slot.reason or 'without a reason'}) and is not started again yet"

    def turn(self, now: float) -> bool:
        """Take the next steps. Return True once, when the rolling restart is done."""
        for left, leaver in self._roster.due_to_leave():
            seconds = self._section.leaving_seconds if left.spec.is_worker else self._section.stop_seconds
            leaver.drain(self._channels.read(left, leaver), now, seconds, patient=True)
            fields = {"child": left.spec.name, "pid": leaver.pid, "within_seconds": seconds}
            logger.info("child leaves", extra=fields)
        if self.since is None:
            return False
        if self._roster.rolled(self.since):
            self.since = None
            logger.info("rolling restart done")
            return True
        if (place := self._roster.progress(self.since)) != self._place:
            self._moved_at, self._place = now, place
        if (slot := self._roster.to_roll(self.since)) and (child := slot.child) and self._roster.replace(slot):
            set_stacks_aside(self._lock.folder, slot.spec.name, child.pid)
        return False
