"""Replaces children one after the other: a new child is ready before the old one is asked to leave."""

import logging

from dtqs.config import SupervisorSection
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.silence import set_stacks_aside

logger = logging.getLogger(__name__)
_STUCK_AFTER = 3
"""After this many new children in a row that were never ready, nobody should wait for the rolling restart."""


class Rolling:
    """The rolling restart of a node. `since` is the time of its request, or None."""

    def __init__(self, section: SupervisorSection, roster: Roster, channels: ChildChannels, lock: NodeLock) -> None:
        self._section, self._roster, self._channels, self._lock = section, roster, channels, lock
        self.since: float | None = None

    def begin(self, since: float) -> None:
        """Replace all children that were started before this time."""
        self.since = since
        logger.info("rolling restart", extra={"children": len(self._roster.seats)})

    def stuck(self) -> str | None:
        """Return why a new child does not become ready, or None. The old ones work on."""
        if self.since is not None:
            for seat in self._roster.seats:
                if seat.restart.unready >= min(_STUCK_AFTER, self._section.restart_limit):
                    words = self._channels.last_words(seat) or "it gave no reason"
                    return f"{seat.spec.name} ended {seat.restart.unready} times in a row before it was ready: {words}"
        return None

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
        if (seat := self._roster.to_roll(self.since)) and (child := seat.child) and self._roster.replace(seat):
            set_stacks_aside(self._lock.folder, seat.spec.name, child.pid)
        return False
