"""The relay: publish what is due in the backlog, again and again but ever rarer, until somebody has claimed it."""

import time

from dtqs.broker.keeper_link import KeeperLink
from dtqs.deadline import Deadline
from dtqs.store import Store
from dtqs.store.backlog import LONG_AGO
from dtqs.store.workers import Totals

BATCH = 500
_FULL_SCAN_SECONDS = 60.0


class Relay:
    """Scans behind a moving mark, since a held snapshot keeps the dead index entries below it; everything once a minute."""

    def __init__(self, store: Store, link: KeeperLink, totals: Totals, publish_timeout_seconds: float) -> None:
        self._store, self._link, self._totals, self._timeout = store, link, totals, publish_timeout_seconds
        self._mark = LONG_AGO
        self._full_at = 0.0

    def turn(self) -> bool:
        """Relay one batch. Rows are committed with a later time before they are published: no transaction is open while we wait for the broker.

        Raises StoreUnavailable, BrokerUnavailable.
        """
        if not self._link.can_publish:
            return False  # what is due stays due
        if time.monotonic() >= self._full_at:
            self._full_at, self._mark = time.monotonic() + _FULL_SCAN_SECONDS, LONG_AGO
        behind = self._store.backlog.now()
        dues, rest = self._store.backlog.relay(self._mark, BATCH)
        self._mark = behind if rest is None else rest
        if dues:
            confirmed = self._link.publish_hints(dues, Deadline(self._timeout))
            self._totals.published += len(dues)
            if confirmed:
                self._store.backlog.far_out(confirmed)
        return len(dues) == BATCH
