"""Writes the pulse of this node for `dtqs health`: at each turn, into memory, without a system call."""

import logging

from dtqs.pulse import PAUSED, Pulse, PulseMemory
from dtqs.scoreboard import ChildState
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.roster import Roster

logger = logging.getLogger(__name__)


class Vitals:
    """Call `begin` once the node holds its identity, then `note` at each turn."""

    def __init__(self, roster: Roster, channels: ChildChannels, lock: NodeLock, lease_seconds: float) -> None:
        self._roster, self._channels, self._lock, self._lease = roster, channels, lock, lease_seconds
        self._memory: PulseMemory | None = None

    def begin(self) -> None:
        """Make the memory, and announce it in the node's folder."""
        try:
            self._memory = PulseMemory(self._channels.boot_id)
            self._memory.announce(str(self._lock.folder))
        except OSError as error:
            logger.warning("no pulse: `dtqs health` cannot see this node", extra={"reason": str(error)})

    def note(self, now: float, phase: Phase) -> None:
        """Write the pulse."""
        if self._memory is None:
            return
        records = [self._channels.read(seat, child) for seat, child in self._roster.taken()]
        self._memory.write(
            Pulse(
                turn_at=now,
                heartbeat_at=max((record.heartbeat for record in records), default=0.0),
                lease_seconds=self._lease,
                phase=PAUSED if self._roster.paused and phase is Phase.RUNNING else phase,
                children=len(self._roster.seats),
                ready=self._roster.ready(),
                waiting=sum(record.state is ChildState.WAITING for record in records),
            )
        )

    def close(self) -> None:
        """Close the memory, in a new child."""
        if self._memory is not None:
            self._memory.close()
