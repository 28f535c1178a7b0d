"""The key that signs outcomes in events, as a worker learns it."""

import logging
import time

from dtqs.errors import StoreUnavailable
from dtqs.event_seal import EventSeal
from dtqs.store import Store

logger = logging.getLogger(__name__)
_AGAIN_SECONDS = 30.0


class EventKey:
    def __init__(self, store: Store, seal: EventSeal, carries_outcomes: bool) -> None:
        self._store, self._seal, self._carries_outcomes = store, seal, carries_outcomes
        self._next_at = 0.0

    def learn(self) -> None:
        """Learn the key when it is time. Without it, events carry no outcomes and nothing else is missing."""
        if not self._carries_outcomes or time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + _AGAIN_SECONDS
        try:
            key = self._store.workers.event_key(make=True)
        except StoreUnavailable as error:
            logger.warning("the key of the events cannot be read", extra={"reason": str(error)})
            return
        if key is None:
            reason = "settings has a damaged event_key; delete this row, and a worker makes a new one"
            logger.warning("the key of the events cannot be read", extra={"reason": reason})
        else:
            self._seal.learn(key)
