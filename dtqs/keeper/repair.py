"""Repair: refill a queue of the broker from the backlog if it was lost, or is empty although tasks wait."""

import logging
import time

from dtqs.broker.keeper_link import KeeperLink
from dtqs.deadline import Deadline
from dtqs.routes import NO_ROUTES, QUEUE, Routes
from dtqs.store import Store
from dtqs.store.backlog import FIRST_ID
from dtqs.store.refill import BATCH, Refills

logger = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0
_LEFT_SECONDS = 10.0
"""The time between two looks for refills whose processes have died."""


class Repair:
    """Each queue is refilled alone, with the tasks whose types go there."""

    def __init__(
        self, store: Store, link: KeeperLink, grace_seconds: float, process_id: str, routes: Routes = NO_ROUTES
    ) -> None:
        self._store, self._link, self._grace, self._routes = store, link, grace_seconds, routes
        self._refills = Refills(store.backlog, store.queues, routes, process_id)
        self._empty_turns = dict.fromkeys(routes.queues, 0)
        self._after, self._left_at = FIRST_ID, 0.0

    def lost(self, queue: str, missed_at: float) -> None:
        """Note that a queue was missing and has been declared. The broker's thread calls it."""
        logger.warning("the queue was missing: publishing everything that is due", extra={"queue": queue})
        self._refills.lost(queue, missed_at, time.monotonic())

    def turn(self) -> bool:
        """Look at the queues and do a bounded piece of their repair. Raises StoreUnavailable, BrokerUnavailable."""
        self._look_for_left()
        if self._refills.step():
            return True
        looks = self._link.look(Deadline(_LOOK_SECONDS))
        for name, look in looks.items():
            self._empty_turns[name] = 0 if look.ready else self._empty_turns[name] + 1
        empty = [name for name in looks if self._empty_turns[name] >= 2 and not self._refills.has(name)]
        return self._sample(empty) if empty else False

    def _look_for_left(self) -> None:
        """Go on with the refills of processes that have died."""
        now = time.monotonic()
        if now < self._left_at:
            return
        self._left_at = now + _LEFT_SECONDS
        for queue, cut_seconds in self._store.queues.left_refills(self._routes.queues):
            at = time.monotonic() - cut_seconds
            self._refills.lost(queue, at, at)

    def _sample(self, empty: list[str]) -> bool:
        """Repair a batch for all empty queues together. If some of it was lost, refill them: return True.

        One batch in a turn is enough otherwise: beside an empty queue, most tasks of the backlog are due later, or have
        other queues.
        """
        last, changed = self._store.backlog.repair(self._after, BATCH, self._grace, *self._carried_by(empty))
        self._after = last or FIRST_ID
        if changed:
            for name in empty:
                self._refills.emptied(name, self._after, self._grace)
        return changed > 0

    def _carried_by(self, queues: list[str]) -> tuple[tuple[str, ...], bool]:
        """Return types and whether these queues carry just these. If not, they carry all others."""
        if QUEUE in queues:
            others = [name for name in self._routes.queues if name not in queues]
            return tuple(name for queue in others for name in self._routes.types_of(queue)), False
        return tuple(name for queue in queues for name in self._routes.types_of(queue)), True
