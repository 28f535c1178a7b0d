"""New rows of the log of all tasks, each once. A row that commits after younger rows is not lost."""

from collections.abc import Iterator

from dtqs.readings.reader import SystemReader
from dtqs.readings.values import SystemLogRow

LATE_SECONDS = 10.0
"""Span that each poll reads again: a row's time is the start of its transaction, which commits later."""
SPAN_SECONDS = 60.0
"""Longest span of one query, for a reader that is far behind."""
ROWS_LIMIT = 1000
"""Most rows of one query."""


class Following:
    """Follows the log with a level and a search."""

    def __init__(self, reader: SystemReader, level: str | None, search: str | None) -> None:
        self._reader, self._level, self._search = reader, level, search
        self._since = 0.0
        self._seen: set[int] = set()

    def begin(self, limit: int) -> list[SystemLogRow]:
        """Return the newest rows, at most `limit`. Raises StoreUnavailable."""
        _, now = self._reader.log_ids(0.0, 0.0, self._level, self._search)
        self._since = now - LATE_SECONDS
        # before the rows: an older row that commits between the two readings is new later
        ids, _ = self._reader.log_ids(self._since, SPAN_SECONDS, self._level, self._search)
        newest = self._reader.newest_logs(limit, self._level, None, self._search)
        last = newest[-1].log_id if newest else 0
        self._seen = {log_id for log_id in ids if log_id <= last} | {row.log_id for row in newest}
        return newest

    def new(self) -> Iterator[SystemLogRow]:
        """Yield the rows that are new since the last call. Raises StoreUnavailable."""
        behind = True
        while behind:
            since = self._since
            ids, now = self._reader.log_ids(since, SPAN_SECONDS, self._level, self._search)
            missing = sorted(set(ids) - self._seen)
            for start in range(0, len(missing), ROWS_LIMIT):
                yield from self._reader.named_logs(since, missing[start : start + ROWS_LIMIT])
            self._seen = set(ids)
            behind = since + SPAN_SECONDS < now
            self._since = max(since, min(since + SPAN_SECONDS, now) - LATE_SECONDS)
