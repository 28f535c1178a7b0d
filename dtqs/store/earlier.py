"""A transaction that is repeated since its reply was lost: the log rows of the try before, if that was committed.

The rows of a try are here before its commit. Their log rows show later whether it was.
"""

from collections.abc import Sequence

from dtqs.store.driver.connection import Row
from dtqs.store.driver.database import Run
from dtqs.store.driver.statements import array, lived_since


class EarlierTry:
    """Rows begin with the id of a log row (or None) and the id of its task."""

    def __init__(self) -> None:
        self._rows: list[Row] | None = None

    def note(self, rows: Sequence[Row]) -> list[Row]:
        """Note the rows of this try, and return them."""
        self._rows = list(rows)
        return self._rows

    def landed(self, run: Run) -> list[Row] | None:
        """Return the rows with a log row of the earlier try. None: there was none, or it was undone."""
        if self._rows is None:
            return None
        rows = [row for row in self._rows if row[0] is not None]
        if not rows:
            return []
        ids = [row[1] for row in rows]
        written = {"ids": array(ids), "log_ids": array([str(row[0]) for row in rows]), "since": lived_since(ids)}
        found = {log_id for (log_id,) in run("written", written)}
        run("wait_for_earlier")
        return [row for row in rows if row[0] in found] or None
