"""The periodic loop. Each chore has its turn when it is due. A failed chore is tried again, and does not end its loop.

A chore that waits delays the others of its loop. So slow chores have a loop of their own, in a thread.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from dtqs import sink
from dtqs.deadline import Deadline, Stop
from dtqs.errors import BrokerUnavailable, FilesUnavailable, StoreUnavailable
from dtqs.repeated_fault import RepeatedFaults

logger = logging.getLogger(__name__)
_AGAIN_SECONDS = 1.0
_SOON_SECONDS = 0.1
_LONGEST_SECONDS = 30.0
"""The most time between two tries of a chore that fails for another reason than a server that is away."""


@dataclass(slots=True)
class Chore:
    """A periodic job. `turn` does a bounded piece and returns whether more remains, to be done at once.

    While `is_busy` the next turn comes sooner, though not at once.
    """

    name: str
    every_seconds: float
    turn: Callable[[], bool]
    is_busy: Callable[[], bool] = lambda: False
    due_at: float = 0.0
    failing: bool = field(default=False)
    faults: int = field(default=0)
    fault_log: RepeatedFaults = field(default_factory=lambda: RepeatedFaults(logger))


def run(chores: Sequence[Chore], stop: Stop, beat: Callable[[], None]) -> None:
    """Take turns until the stop is requested."""
    while not stop.requested:
        beat()
        sink.flush()
        now = time.monotonic()
        for chore in chores:
            if now >= chore.due_at and not stop.requested:
                pause = _turn(chore)
                beat()
                chore.due_at = time.monotonic() + pause
        next_at = min(chore.due_at for chore in chores)
        stop.wait(max(0.0, min(1.0, next_at - time.monotonic())))


class ChoreThread:
    """A loop of chores in a thread of its own."""

    def __init__(self, name: str, chores: Sequence[Chore], stop: Stop, beat: Callable[[], None] = lambda: None) -> None:
        self._thread = threading.Thread(target=run, args=(chores, stop, beat), name=name, daemon=True)
        self._started = False

    def start(self) -> None:
        self._started = True
        self._thread.start()

    def join(self, deadline: Deadline) -> None:
        """Wait for the end of its turn. Safe without a start."""
        if self._started:
            self._thread.join(deadline.remaining)


class CommonBeat:
    """Beats for a process with several loops: once each of them has beaten again. So a loop that hangs shows."""

    def __init__(self, loops: Iterable[str], beat: Callable[[], None]) -> None:
        self._loops, self._beat = frozenset(loops), beat
        self._missing = set(self._loops)

    def beat(self, loop: str) -> None:
        """Note a beat of one loop. If two loops race here, one beat may be lost: the next comes within a second."""
        self._missing.discard(loop)
        if not self._missing:
            self._missing = set(self._loops)
            self._beat()


def _turn(chore: Chore) -> float:
    """Run one turn and return the seconds until the next."""
    soon = min(chore.every_seconds, _AGAIN_SECONDS)
    try:
        more = chore.turn()
    except BrokerUnavailable:
        return soon  # its connection warns if this lasts
    except (StoreUnavailable, FilesUnavailable) as error:
        if not chore.failing:
            logger.warning("chore cannot be done now", extra={"chore": chore.name, "reason": str(error)})
        chore.failing = True
        return soon
    except Exception as error:  # an error in one chore must not stop the others
        chore.fault_log.tell("chore failed", error, chore=chore.name)
        chore.faults += 1
        # never less often than after a success: a keeper judges only if its turns come on time
        return min(soon * 2.0 ** min(chore.faults - 1, 10), chore.every_seconds, _LONGEST_SECONDS)
    if chore.failing or chore.faults:
        logger.info("chore goes on", extra={"chore": chore.name})
    chore.failing, chore.faults = False, 0
    if more:
        return 0.0
    return min(chore.every_seconds, _SOON_SECONDS) if chore.is_busy() else chore.every_seconds
