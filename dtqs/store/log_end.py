"""Since when the log has its newest so many rows. Neither their ids nor their places in the table tell that cheaply; counts of short times do."""

import time

from dtqs.store.driver.database import Database

LOG_SECONDS = 31 * 86400.0
"""Nobody looks further back for what is new."""
_STEP = 4.0
_SLACK = 2
"""A time with up to so many times the rows is as good."""
_NARROW_SECONDS = 0.01
_TURNS = 40


class LogEnd:
    """Remembers the times that it found: from one reading to the next they seldom change much."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, float] = {}

    def since(self, rows: int) -> float:
        """Return a Unix time since which there are at least so many rows, seldom many times more; or LOG_SECONDS ago. Raises StoreUnavailable."""
        since = self._known.get(rows, time.time() - 1.0)
        few: float | None = None
        many: float | None = None
        for _ in range(_TURNS):
            count, now = self._count(since, rows * _SLACK)
            if rows <= count < rows * _SLACK or (count < rows and now - since >= LOG_SECONDS):
                break
            few, many = (since, many) if count < rows else (few, since)
            if many is not None and (few or now) - many < _NARROW_SECONDS:
                since = many
                break
            since = _between(few, many, now)
        self._known[rows] = since
        return since

    def _count(self, since: float, look: int) -> tuple[int, float]:
        ((count, now),) = self._database.run_once("reading_log_rows", {"since": since, "look": look})
        return count, now


def _between(few: float | None, many: float | None, now: float) -> float:
    """Step back or forth; once there is a time on either side their middle: with a long pause between them no step would meet its edge."""
    if few is not None and many is not None:
        return (few + many) / 2
    if many is not None:
        return now - (now - many) / _STEP
    return now - min(LOG_SECONDS, max(_NARROW_SECONDS, now - (few or now)) * _STEP)
