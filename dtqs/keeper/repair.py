"""Repair: refill a queue of the broker from the backlog if it was lost, or is empty although tasks wait."""

import logging
from dataclasses import dataclass

from dtqs.broker.keeper_link import KeeperLink
from dtqs.deadline import Deadline
from dtqs.routes import NO_ROUTES, Routes
from dtqs.store import Store
from dtqs.store.backlog import FIRST_ID

logger = logging.getLogger(__name__)
BATCH = 1000
_LOOK_SECONDS = 2.0


@dataclass(slots=True)
class _Queue:
    """The state of one queue."""

    name: str
    lost: bool = False
    rebuilding: str | None = None
    empty_turns: int = 0
    after: str = FIRST_ID


class Repair:
    """Each queue is repaired alone, with the tasks whose types go there."""

    def __init__(self, store: Store, link: KeeperLink, grace_seconds: float, routes: Routes = NO_ROUTES) -> None:
        self._store, self._link, self._grace, self._routes = store, link, grace_seconds, routes
        self._queues = {name: _Queue(name) for name in routes.queues}

    def lost(self, queue: str) -> None:
        """Note that a queue was missing and has been declared. The broker's thread calls it."""
        self._queues[queue].lost = True

    def turn(self) -> bool:
        """Look at the queues and do a bounded piece of their repair. Raises StoreUnavailable, BrokerUnavailable."""
        for queue in self._queues.values():
            if queue.lost:
                logger.warning("the queue was missing: publishing everything that is due", extra={"queue": queue.name})
                queue.lost, queue.rebuilding = False, FIRST_ID
            if queue.rebuilding is not None:
                queue.rebuilding = self._repair(queue, queue.rebuilding, 0)
                return True
        for name, look in self._link.look(Deadline(_LOOK_SECONDS)).items():
            queue = self._queues[name]
            queue.empty_turns = 0 if look.ready else queue.empty_turns + 1
            if queue.empty_turns >= 2:
                # One batch per turn: beside an empty queue, most rows of the backlog are due later.
                queue.after = self._repair(queue, queue.after, self._grace) or FIRST_ID
        return False

    def _repair(self, queue: _Queue, after: str, older_than_seconds: float) -> str | None:
        types, routed = self._routes.carried_by(queue.name)
        last, _ = self._store.backlog.repair(after, BATCH, older_than_seconds, types, routed)
        return last
