"""The first step of a worker: wait until PostgreSQL accepts its login. It holds no task yet."""

import logging
import os
import time

from dtqs.config import PostgresqlSection
from dtqs.errors import StoreUnavailable
from dtqs.scoreboard import ChildState, Slot
from dtqs.store.checkup import LoginRefused, NotLetIn, reach

logger = logging.getLogger(__name__)
_AGAIN_SECONDS = 0.2


class Waiting:
    """Reports a wait for PostgreSQL to the supervisor, which then has no time limit, and logs each reason once."""

    def __init__(self, slot: Slot) -> None:
        self._slot, self._reason = slot, ""
        self.is_on = False

    def note_failure(self, error: StoreUnavailable) -> None:
        """Begin or continue the wait after a failed try."""
        self.is_on = True
        self._slot.beat()
        self._slot.state(ChildState.WAITING)
        if str(error) != self._reason:
            self._reason = str(error)
            logger.warning("waiting for PostgreSQL", extra={"reason": self._reason})

    def note_answer(self) -> None:
        """End the wait: PostgreSQL has answered. The time of the start counts again, from now."""
        if self.is_on:
            self.is_on, self._reason = False, ""
            self._slot.state(ChildState.STARTING)


def arrive(section: PostgresqlSection, name: str, waiting: Waiting, patience_seconds: float) -> tuple[int, str] | None:
    """Wait until PostgreSQL accepts the login. If it refuses, return the exit status and the reason.

    A wrong password is final. A missing database or role may come back from a backup: it is final after
    `patience_seconds`. No signal handler is set yet, so a signal ends the process at once, even in a look-up of a name.
    """
    began = None
    while True:
        try:
            reach(section, name)
        except LoginRefused as error:
            logger.critical("PostgreSQL refuses this configuration", extra={"reason": str(error)})
            return os.EX_CONFIG, f"[postgresql] dsn: {error}"
        except StoreUnavailable as error:
            waiting.note_failure(error)
            now = time.monotonic()
            began = (began or now) if isinstance(error, NotLetIn) else None
            if began is not None and now - began > patience_seconds:
                return os.EX_TEMPFAIL, f"[postgresql] dsn: {error}"
            time.sleep(_AGAIN_SECONDS)
        else:
            waiting.note_answer()
            return None
