"""Forks children into empty slots and, for deaths that no new child would settle, children that only settle them."""

import logging
from collections.abc import Callable, Sequence

from dtqs.config import SupervisorSection
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.child import Child
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.slot_state import SlotState
from dtqs.supervisor.spawn import spawn

logger = logging.getLogger(__name__)


class Filling:
    """The forks of a node."""

    def __init__(
        self,
        section: SupervisorSection,
        roster: Roster,
        channels: ChildChannels,
        lock: NodeLock,
        closes: Sequence[Callable[[], None]],
    ) -> None:
        """Make it. A new child calls `closes`, to close its copies of its parent's descriptors."""
        self._section, self._roster, self._channels = section, roster, channels
        self._lock, self._closes = lock, closes

    def turn(self, phase: Phase, now: float) -> None:
        """Fork the children that are due in this phase."""
        if phase is Phase.RUNNING:
            for slot in self._roster.vacant(now):
                self._fork(slot, now, settler=False)
            self._settle(now, self._section.leaving_seconds, running=True)
        elif phase is not Phase.KILLING:
            self._settle(now, self._section.stop_seconds, running=False)

    def _settle(self, now: float, seconds: float, running: bool) -> None:
        """Fork the children that only take back the leases of dead ones, and ask them to end when that is done."""
        for slot in self._roster.owing(running):
            if child := self._fork(slot, now, settler=True):
                child.drain(self._channels.read(slot, child), now, seconds, patient=running)

    def _fork(self, slot: SlotState, now: float, settler: bool) -> Child | None:
        try:
            pid = spawn(slot.spec, self._channels.start_of(slot, settler), self._leave_to_parent, self._lock.folder)
        except OSError as error:
            self._roster.not_filled(slot, now, settler)
            logger.error("fork failed", extra={"child": slot.spec.name, "reason": str(error)})
            return None
        logger.info("child started", extra={"child": slot.spec.name, "pid": pid, "deaths": len(slot.deaths)})
        return self._roster.filled(slot, pid, now, settler)

    def _leave_to_parent(self) -> None:
        """Close a new child's copies of its parent's descriptors."""
        for close in self._closes:
            close()
        self._lock.release()
        self._channels.close()
