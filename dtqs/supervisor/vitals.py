"""Writes the pulse of this node for `dtqs health`: at each turn, into memory, without a system call."""

import logging
import time
from dataclasses import dataclass

from dtqs.pulse import PAUSED, Pulse, PulseMemory
from dtqs.scoreboard import ChildState
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.roster import Roster

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class About:
    """Facts of the configuration that a probe needs. `config`: the absolute path of the file."""

    lease_seconds: float = 30.0
    config: str = ""


class Vitals:
    """Call `begin` once the node holds its identity, then `note` at each turn."""

    def __init__(self, roster: Roster, channels: ChildChannels, lock: NodeLock, about: About) -> None:
        self._roster, self._channels, self._lock, self._about = roster, channels, lock, about
        self._memory: PulseMemory | None = None

    def begin(self) -> None:
        """Make the memory, and announce it in the node's folder, or go on with the memory of the program before."""
        place = str(self._lock.folder), self._channels.boot_id, self._about.config
        try:
            self._memory = PulseMemory.of_program_before(*place)
            if self._memory is None:
                self._memory = PulseMemory(*place[1:])
                self._memory.announce(place[0])
        except OSError as error:
            logger.warning("no pulse: `dtqs health` cannot see this node", extra={"reason": str(error)})

    def note(self, now: float, phase: Phase) -> None:
        """Write the pulse."""
        if self._memory is None:
            return
        records = [self._channels.read(slot, child) for slot, child in self._roster.taken()]
        self._memory.write(
            Pulse(
                turn_at=now,
                heartbeat_at=max((record.heartbeat for record in records), default=0.0),
                lease_seconds=self._about.lease_seconds,
                phase=PAUSED if self._roster.paused and phase is Phase.RUNNING else phase,
                children=len(self._roster.slots),
                ready=self._roster.ready(),
                waiting=sum(record.state is ChildState.WAITING for record in records),
            )
        )

    def allow_silence(self, seconds: float) -> tuple[int, ...]:
        """Let no turn follow for so long. Return the descriptor that the next program in this process needs."""
        if self._memory is None:
            return ()
        self._memory.allow_silence(time.monotonic() + seconds)
        return (self._memory.descriptor,)

    def close(self) -> None:
        """Close the memory, in a new child."""
        if self._memory is not None:
            self._memory.close()
