"""A keeper's deletes of expired rows, and the partitions that it makes ahead; all in bounded pieces."""

import time

from psycopg import sql

from dtqs.store.driver.database import Database
from dtqs.uuid7 import first_uuid7


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

    def drop_partitions(self, days: int) -> list[str]:
        """Detach and drop expired days of logs. Returns the names of their partitions.

        A plain DROP would queue behind a backup, and every finish behind the DROP. A day in use stays for a later turn.
        Raises StoreUnavailable.
        """
        old = self._database.run("old_partitions", {"days": days})
        for name, attached, half_detached in old:
            if attached:
                how = sql.SQL("FINALIZE" if half_detached else "CONCURRENTLY")
                self._database.administer(
                    sql.SQL("ALTER TABLE logs DETACH PARTITION {} {}").format(sql.Identifier(name), how), alone=True
                )
            self._database.administer(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
        return [name for name, _, _ in old]
