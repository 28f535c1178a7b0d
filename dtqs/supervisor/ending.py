"""The end of a node: first its workers, with the grace period, then the children that serve them."""

from dtqs.config import SupervisorSection
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.roster import Roster

_STOPS_TO_END = 3
"""After the drain the node may take this many times `stop_seconds`: for workers, their replacements, and the keeper."""


class Ending:
    """Asks the children to end, in order. After `by` the node kills what is left."""

    def __init__(self, section: SupervisorSection, roster: Roster, channels: ChildChannels) -> None:
        self._section, self._roster, self._channels = section, roster, channels
        self.by = float("inf")

    def limit(self, now: float, drain_seconds: float) -> None:
        """Let the node end within this time and its stops. A later call can only shorten it."""
        self.by = min(self.by, now + drain_seconds + _STOPS_TO_END * self._section.stop_seconds)

    def stop_workers(self, now: float) -> None:
        self.limit(now, 0.0)
        for slot, child in self._roster.taken():
            if slot.spec.is_worker:
                child.stop(now)

    def turn(self, phase: Phase, now: float) -> None:
        """Take the next step with each child."""
        workers_gone = self._roster.workers_gone()
        for slot, child in self._roster.taken():
            if phase is Phase.KILLING:
                child.kill(now)
            elif slot.spec.is_worker:
                # this leaves replacements that only settle deaths, and children that stop already, as they are
                child.drain(self._channels.read(slot, child), now, self._section.drain_seconds)
            elif workers_gone:
                child.drain(self._channels.read(slot, child), now, self._section.stop_seconds)
