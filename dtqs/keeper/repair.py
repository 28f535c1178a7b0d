"""Repair: refill the broker's queue from the backlog if it was lost, or is empty although tasks wait."""

import logging

from dtqs.broker.keeper_link import KeeperLink
from dtqs.deadline import Deadline
from dtqs.store import Store
from dtqs.store.backlog import FIRST_ID

logger = logging.getLogger(__name__)
BATCH = 1000
_LOOK_SECONDS = 2.0


class Repair:
    def __init__(self, store: Store, link: KeeperLink, grace_seconds: float) -> None:
        self._store, self._link, self._grace = store, link, grace_seconds
        self.lost = False
        """Set by the broker's thread: the queue was missing and has been declared."""
        self._rebuilding: str | None = None
        self._empty_turns = 0
        self._after: str = FIRST_ID

    def turn(self) -> bool:
        """Look at the queue and do a bounded piece of its repair. Raises StoreUnavailable, BrokerUnavailable."""
        if self.lost:
            logger.warning("the queue was missing: publishing everything that is due")
            self.lost, self._rebuilding = False, FIRST_ID
        if self._rebuilding is not None:
            self._rebuilding, _ = self._store.backlog.repair(self._rebuilding, BATCH, 0)
            return self._rebuilding is not None
        ready = self._link.look(Deadline(_LOOK_SECONDS)).ready
        self._empty_turns = 0 if ready else self._empty_turns + 1
        if self._empty_turns >= 2:
            # One batch per turn: beside an empty queue, most rows of the backlog are due later.
            last, _ = self._store.backlog.repair(self._after, BATCH, self._grace)
            self._after = last or FIRST_ID
        return False
