"""The one periodic loop. Each chore has its turn when it is due. A failed chore is tried again and delays no other."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dtqs import sink
from dtqs.deadline import Stop
from dtqs.errors import BrokerUnavailable, FilesUnavailable, StoreUnavailable

logger = logging.getLogger(__name__)
_AGAIN_SECONDS = 1.0


@dataclass(slots=True)
class Chore:
    """A periodic job. `turn` does a bounded piece and returns whether more remains, to be done at once."""

    name: str
    every_seconds: float
    turn: Callable[[], bool]
    due_at: float = 0.0
    failing: bool = field(default=False)


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
    except Exception:  # an error in one chore must not stop the others
        logger.exception("chore failed", extra={"chore": chore.name})
        return soon
    if chore.failing:
        logger.info("chore goes on", extra={"chore": chore.name})
    chore.failing = False
    return 0.0 if more else chore.every_seconds
