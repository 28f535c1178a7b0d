"""Reclaim: take back what workers held whose heartbeat is too old, and once, at the start, what this node's former workers held."""

import logging
import time
from collections.abc import Sequence

from dtqs.broker.keeper_link import KeeperLink
from dtqs.config import LeaseSection
from dtqs.deadline import Deadline
from dtqs.errors import WorkerDied
from dtqs.scoreboard import Death
from dtqs.store import Store
from dtqs.store.workers import Totals

logger = logging.getLogger(__name__)
_HINT_SECONDS = 2.0


class Judge:
    """Whether this keeper may judge others: only when its own turns have succeeded on time for a full lease time. Pure but for the clock."""

    def __init__(self, lease_seconds: float, every_seconds: float) -> None:
        self._lease, self._late = lease_seconds, 2 * every_seconds + 1.0
        self._sound_since: float | None = None
        self._last = 0.0

    def succeeded(self, now: float) -> bool:
        """A turn has just succeeded; tells whether the keeper may judge."""
        if self._sound_since is None or now - self._last > self._late:
            self._sound_since = now
        self._last = now
        return now - self._sound_since >= self._lease

    def failed(self) -> None:
        self._sound_since = None


class Reclaim:
    def __init__(
        self, store: Store, link: KeeperLink, totals: Totals, lease: LeaseSection, node_id: str, boot_id: str, former: Sequence[Death] = ()
    ) -> None:
        self._store, self._link, self._totals, self._lease = store, link, totals, lease
        self._node_id, self._boot_id = node_id, boot_id
        self._known = {death.worker_id: death for death in former}
        self._judge = Judge(lease.lease_seconds, lease.heartbeat_seconds / 2)

    def former(self) -> bool:
        """Take back what workers of this node held before its supervisor started: the node's lock says that they are gone. Raises StoreUnavailable.

        The marks of that supervisor tell which task ran; without one, every task of a lease spends its attempt.
        """
        for worker_id in self._store.workers.former(self._node_id, self._boot_id):
            self._take_back(worker_id, WorkerDied("its supervisor ended"), None, self._known.get(worker_id))
        return False

    def turn(self) -> bool:
        """Raises StoreUnavailable."""
        began = time.monotonic()
        try:
            stale = self._store.workers.stale(self._lease.lease_seconds)
        except Exception:
            self._judge.failed()
            raise
        now = time.monotonic()
        if now - began > 1.0:
            self._judge.failed()  # a slow database keeps heartbeats waiting as well
        if self._judge.succeeded(now):
            for worker_id in stale:
                self._take_back(worker_id, WorkerDied(f"no heartbeat for {self._lease.lease_seconds:g} s"), self._lease.lease_seconds)
        return False

    def _take_back(self, worker_id: str, error: WorkerDied, age_seconds: float | None, death: Death | None = None) -> None:
        rows = self._store.leases.reclaim(worker_id, error, death, age_seconds)
        if rows is None:
            return
        logger.warning("dead worker's tasks taken back", extra={"worker_id": worker_id, "cause": error.cause, "tasks": len(rows)})
        self._totals.reclaimed += len(rows)
        if rows:
            self._link.publish_events(rows)
            dues = self._store.backlog.due([task_id for _, task_id, event in rows if event == "pending"])
            if dues:
                self._link.publish_hints(dues, Deadline(_HINT_SECONDS))
