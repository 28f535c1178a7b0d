"""Prune: delete expired rows and files, a bounded piece per turn, and create days of logs ahead."""

import logging
from collections.abc import Sequence

from dtqs.config import Config
from dtqs.errors import FilesUnavailable
from dtqs.files import FileSpace
from dtqs.store import Store
from dtqs.store.backlog import FIRST_ID
from dtqs.store.housekeeping import DAYS_AT_ONCE

logger = logging.getLogger(__name__)
BATCH = 1000
_UNOWNED_SECONDS = 8 * 86400.0
"""An output gets its row when its task ends, and an attempt may take a week."""


class Prune:
    def __init__(self, store: Store, files: FileSpace, config: Config) -> None:
        self._store, self._files, self._config = store, files, config
        self._after = FIRST_ID

    def tasks(self) -> bool:
        """Delete expired tasks. Raises StoreUnavailable."""
        last, _ = self._store.housekeeping.prune_tasks(self._after, self._config.postgresql.retention_days, BATCH)
        self._after = last or FIRST_ID
        return last is not None

    def small(self) -> bool:
        """Delete expired rows of the small tables. Raises StoreUnavailable."""
        return self._store.housekeeping.prune_small(self._config.api.idempotency_hours, BATCH)

    def logs(self) -> bool:
        """Create and drop days of logs. A day in use stays for the next turn. Raises StoreUnavailable."""
        self._store.housekeeping.make_partitions()
        days = self._store.housekeeping.drop_partitions(self._config.log.retention_days)
        if days.dropped:
            logger.info("days of logs dropped", extra={"partitions": ",".join(days.dropped)})
        if days.in_use:
            # a backup takes hours: a try each second would only hold up the other chores
            logger.info(
                "a day of logs stays until the next turn: another session uses it", extra={"partition": days.in_use}
            )
        return len(days.dropped) >= DAYS_AT_ONCE and not days.in_use

    def log_times(self) -> bool:
        """Bring the index on the time of log rows up to date. Raises StoreUnavailable."""
        self._store.housekeeping.summarize_logs()
        return False

    def files(self) -> bool:
        """Delete expired files, and files without a row. Raises StoreUnavailable, FilesUnavailable.

        After FilesUnavailable a later sweep removes the files whose rows are gone.
        """
        gone = self._store.housekeeping.expire_files(self._config.files.retention_days, BATCH)
        for file_id in gone:
            self._files.remove(file_id)
        self._files.sweep(self._owned, _UNOWNED_SECONDS, BATCH)
        return len(gone) == BATCH

    def leftovers(self) -> bool:
        """Delete the temporary files of dead workers. Raises StoreUnavailable, FilesUnavailable (after all owners)."""
        owners = self._files.owners()
        dead = self._store.workers.dead(owners) if owners else {}
        failures = []
        for owner in owners:
            try:
                if dead.get(owner, True):
                    self._clear(owner, known=owner in dead)
            except FilesUnavailable as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return False

    def _clear(self, owner: str, known: bool) -> None:
        """Delete the files of one owner. One without a row is probably dead, so only its old files go."""
        gone = self._files.clear(owner, self._owned, 0.0 if known else _UNOWNED_SECONDS)
        if gone:
            logger.info("files of a dead worker removed", extra={"worker_id": owner, "files": gone})

    def _owned(self, file_ids: Sequence[str]) -> set[str]:
        return self._store.files.existing(file_ids)
