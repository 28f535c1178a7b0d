"""Replaces children one after the other: a new child is ready before the old one is asked to leave."""

import logging

from dtqs.config import SupervisorSection
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.roster import Roster

logger = logging.getLogger(__name__)


class Rolling:
    """The rolling restart of a node. `since` is the time of its request, or None."""

    def __init__(self, section: SupervisorSection, roster: Roster, channels: ChildChannels) -> None:
        self._section, self._roster, self._channels = section, roster, channels
        self.since: float | None = None

    def begin(self, since: float) -> None:
        """Replace all children that were started before this time."""
        self.since = since
        logger.info("rolling restart", extra={"children": len(self._roster.seats)})

    def turn(self, now: float) -> bool:
        """Take the next steps. Return True once, when the rolling restart is done."""
        for seat, child in self._roster.due_to_leave():
            is_worker = seat.spec.is_worker
            seconds = self._section.leaving_seconds if is_worker else self._section.stop_seconds
            child.drain(self._channels.read(seat, child), now, seconds, patient=True)
            fields = {"child": seat.spec.name, "pid": child.pid, "within_seconds": seconds}
            logger.info("child leaves", extra=fields)
        if self.since is None:
            return False
        if self._roster.rolled(self.since):
            self.since = None
            logger.info("rolling restart done")
            return True
        if seat_to_renew := self._roster.to_roll(self.since):
            self._roster.replace(seat_to_renew)
        return False
