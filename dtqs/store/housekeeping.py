"""A keeper's deletes of expired rows, and the partitions that it makes ahead; all in bounded pieces."""

import time
from dataclasses import dataclass

from psycopg import errors, sql

from dtqs.errors import StoreUnavailable
from dtqs.store.driver.database import Database
from dtqs.uuid7 import first_uuid7

_IN_USE = (errors.QueryCanceled, errors.LockNotAvailable, errors.ObjectInUse)
"""The ends of a wait for other sessions: the statement timeout, the lock timeout, and a refusal to wait."""
DAYS_AT_ONCE = 10
"""Most days of logs that one call drops."""


@dataclass(frozen=True, slots=True)
class ExpiredDays:
    """The partitions that were dropped, and the first one that another session uses. The later ones stay with it."""

    dropped: list[str]
    in_use: str | None


class Housekeeping:
    def __init__(self, database: Database) -> None:
        self._database = database

    def prune_tasks(self, after: str, days: float, limit: int) -> tuple[str | None, int]:
        """Delete expired tasks, a batch from a mark on. Returns the next mark and the number of deleted tasks.

        Raises StoreUnavailable.
        """
        before = first_uuid7(time.time() - days * 86400)  # ids sort by time, so skip all younger tasks
        ((last, count),) = self._database.run_once(
            "prune_tasks", {"after": after, "before": before, "days": days, "limit": limit}
        )
        return last, int(count)

    def prune_small(self, idempotency_hours: float, limit: int) -> bool:
        """Delete a batch of old idempotency keys, workers and rate limits, and fold old counters.

        Returns whether more may remain.

        Raises StoreUnavailable.
        """
        ((most,),) = self._database.run_once("prune_small", {"hours": idempotency_hours, "limit": limit})
        folded = self._database.run_once("fold_counters", {"limit": limit})
        return most == limit or (bool(folded) and folded[0][0] == limit)

    def expire_files(self, days: float, limit: int) -> list[str]:
        """Delete rows of expired files. Returns their ids. Raises StoreUnavailable."""
        return [row[0] for row in self._database.run_once("expired_files", {"days": days, "limit": limit})]

    def make_partitions(self) -> None:
        """Create the log's partitions for a week ahead. Raises StoreUnavailable."""
        self._database.run("make_partitions")

    def summarize_logs(self) -> None:
        """Bring the index on the time of log rows up to date. Raises StoreUnavailable."""
        self._database.run_once("summarize_logs")

    def drop_partitions(self, days: int) -> ExpiredDays:
        """Detach and drop expired days of logs.

        A plain DROP would queue behind a backup, and every finish behind the DROP. A day in use stays for a later turn,
        and so do the days after it: the session that uses it may hold up each of them for the statement timeout.
        At most DAYS_AT_ONCE are dropped: after a cut of `retention_days`, hundreds would outlast the keeper's beat.
        Raises StoreUnavailable.
        """
        dropped: list[str] = []
        for name, attached, half_detached in self._database.run("old_partitions", {"days": days})[:DAYS_AT_ONCE]:
            try:
                self._drop_partition(name, attached, half_detached)
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, _IN_USE):
                    raise
                return ExpiredDays(dropped, name)
            dropped.append(name)
        return ExpiredDays(dropped, None)

    def _drop_partition(self, name: str, attached: bool, half_detached: bool) -> None:
        if attached:
            how = sql.SQL("FINALIZE" if half_detached else "CONCURRENTLY")
            self._database.administer(
                sql.SQL("ALTER TABLE logs DETACH PARTITION {} {}").format(sql.Identifier(name), how), alone=True
            )
        self._database.administer(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
