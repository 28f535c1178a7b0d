"""Empty queues to which no route leads any more, once no living worker consumes them.

Keepers remember in PostgreSQL which queues they declared: RabbitMQ's protocol lists none.
"""

import logging
import time
from collections.abc import Sequence

from dtqs.broker.checkup import empty_queue
from dtqs.broker.keeper_link import KeeperLink
from dtqs.config import Config
from dtqs.event import Hint
from dtqs.store import Store

logger = logging.getLogger(__name__)
OLD_QUEUES_SECONDS = 5.0
_BATCH = 500
_LATER_SECONDS = 60.0
"""Time until the next look at an old queue that cannot be deleted yet."""


class OldQueues:
    def __init__(self, store: Store, link: KeeperLink, config: Config) -> None:
        self._store, self._link, self._section, self._routes = store, link, config.rabbitmq, config.routes
        self._age_seconds = config.lease.lease_seconds
        self._later: dict[str, float] = {}
        self._told = False
        self._staying: set[str] = set()
        """Queues that RabbitMQ refused to delete. Each refusal costs a connection."""

    def turn(self) -> bool:
        """Empty a bounded piece of one old queue. Raises StoreUnavailable, BrokerUnavailable."""
        if not self._told:
            self._store.queues.remember(self._routes.queues)
            self._told = True
        now = time.monotonic()
        for queue in self._store.queues.unconsumed(self._age_seconds):
            if queue not in self._routes.queues and self._later.get(queue, 0.0) <= now and self._link.can_publish:
                return self._empty(queue)
        return False

    def _empty(self, queue: str) -> bool:
        self._later[queue] = time.monotonic() + _LATER_SECONDS  # also if it gives no answer
        may_delete = queue not in self._staying
        found = empty_queue(self._section, "dtqs: keeper empties", queue, _BATCH, self._pass_on, may_delete)
        if found.taken or found.gone:
            logger.info("old queue emptied", extra={"queue": queue, "hints": found.taken, "deleted": found.gone})
        if found.gone:
            self._store.queues.forget(queue)
        if found.stays:
            self._staying.add(queue)
            logger.info("old quorum queue stays: delete it with rabbitmqctl", extra={"queue": queue})
        if found.gone or found.taken == _BATCH:
            del self._later[queue]
        return found.taken == _BATCH

    def _pass_on(self, hints: Sequence[Hint]) -> None:
        """Make the tasks of hints due for the relay."""
        tasks: dict[str, list[str]] = {}
        for hint in hints:
            tasks.setdefault(hint.task_type, []).extend(hint.task_ids)
        for task_type, task_ids in tasks.items():
            self._store.backlog.put_off(task_ids, task_type, 0.0)
