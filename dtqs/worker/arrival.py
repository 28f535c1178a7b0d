"""The first thing that a worker does: wait until PostgreSQL lets it in. Nothing is held yet."""

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
    """Whether PostgreSQL is waited for: told to the supervisor, which gives all the time that it takes, and once for each reason to the log."""

    def __init__(self, slot: Slot) -> None:
        self._slot, self._reason = slot, ""
        self.now = False

    def begins(self, error: StoreUnavailable) -> None:
        """A try has failed."""
        self.now = True
        self._slot.beat()
        self._slot.state(ChildState.WAITING)
        if str(error) != self._reason:
            self._reason = str(error)
            logger.warning("waiting for PostgreSQL", extra={"reason": self._reason})

    def ends(self) -> None:
        """PostgreSQL has answered: the time of a start counts again, from now."""
        if self.now:
            self.now, self._reason = False, ""
            self._slot.state(ChildState.STARTING)


def arrive(section: PostgresqlSection, name: str, waiting: Waiting, patience_seconds: float) -> tuple[int, str] | None:
    """Wait until PostgreSQL lets us in, or return the exit status and why it does not: at once where we are not believed, after some time where
    it has no place for us, since it may be on its way back from a backup.

    Called while signals are as the kernel has them: a request to end is obeyed at once, also inside a look-up of a name.
    """
    began = None
    while True:
        try:
            reach(section, name)
        except LoginRefused as error:
            logger.critical("PostgreSQL refuses this configuration", extra={"reason": str(error)})
            return os.EX_CONFIG, f"[postgresql] dsn: {error}"
        except StoreUnavailable as error:
            waiting.begins(error)
            now = time.monotonic()
            began = (began or now) if isinstance(error, NotLetIn) else None
            if began is not None and now - began > patience_seconds:
                return os.EX_TEMPFAIL, f"[postgresql] dsn: {error}"
            time.sleep(_AGAIN_SECONDS)
        else:
            waiting.ends()
            return None
