"""Find the time since which the log has a given number of rows. Counts over short spans find it cheaply; neither the
ids of rows nor their places in the table do.
"""

import time

from dtqs.store.driver.database import Database

LOG_SECONDS = 31 * 86400.0
"""The search for new rows goes back no further."""
_STEP = 4.0
_SLACK = 2
"""A span with up to this many times the wanted rows is accepted."""
_NARROW_SECONDS = 0.01
_TURNS = 40


class LogEnd:
    """Caches the times that it found: they seldom change much from one reading to the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, float] = {}

    def since(self, rows: int) -> float:
        """Return a Unix time since which the log has at least `rows` rows, and seldom many times more.

        It is at most LOG_SECONDS ago. Raises StoreUnavailable.
        """
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
    """Return the next time to try: a step back or forth, or the middle once both sides are known.

    Steps alone would never meet the edge of a long pause without rows.
    """
    if few is not None and many is not None:
        return (few + many) / 2
    if many is not None:
        return now - (now - many) / _STEP
    return now - min(LOG_SECONDS, max(_NARROW_SECONDS, now - (few or now)) * _STEP)
