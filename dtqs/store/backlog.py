"""The backlog as publishers use it: rows due for publishing, and the time of their next publish."""

from collections.abc import Sequence
from dataclasses import dataclass

from dtqs.confirmed import Confirmed
from dtqs.deadline import Deadline
from dtqs.store.driver.database import Database
from dtqs.store.driver.statements import array, text_array
from dtqs.task import Due

FIRST_ID = "00000000-0000-0000-0000-000000000000"
LAST_ID = FIRST_ID.replace("0", "f")
LONG_AGO = "-infinity"
_LOOK_FACTOR = 5
"""A count looks at this many rows for each one that it may count, so a rare type costs no more than this."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Due tasks and tasks in progress by type."""

    by_type: list[tuple[str, int, int]]
    is_complete: bool
    """If not, a limit ended the count: each number is a lower bound, and tasks of further types may wait."""


class Backlog:
    def __init__(self, database: Database, grace_seconds: float, far_out_seconds: float) -> None:
        self._database, self._grace, self._far_out = database, grace_seconds, far_out_seconds

    def now(self) -> tuple[str, float]:
        """Return the mark for a complete scan, which lies some seconds back, and the database's clock in seconds."""
        ((mark, at),) = self._database.run("relay_mark")
        return str(mark), float(at)

    def due_again(self, until: float, after: str, limit: int, last: str = LAST_ID) -> tuple[str | None, int, bool]:
        """Keep a batch of rows due after the database's clock stepped back. `until`: the time without the step.

        It takes ids above `after` and up to `last`.

        Returns the last id of the batch (None: the end is reached), the number of changed rows, and whether some were
        left out, since other sessions have locked them: look at this batch again later. Raises StoreUnavailable.
        """
        parameters = {"until": until, "after": after, "last": last, "limit": limit, "far_out": self._far_out}
        # no repetition inside, since the relay waits meanwhile and repeats it itself
        ((last, changed, left_out),) = self._database.run("due_again", parameters, Deadline(0))
        return last, int(changed), bool(left_out)

    def relay(self, mark: str, limit: int) -> tuple[list[Due], str | None, int]:
        """Take at most `limit` rows whose publish time has come, from the mark on.

        Returns the rows to publish, the next mark, and the number of rows taken. Some of these may rest: their hints
        were confirmed and are probably still in the queue. The mark is `None` if all rows were taken. The rows are
        committed with a later publish time: publish them, then call far_out for the confirmed ones. Rows that another
        session has locked are left over, since it may give them up: the next mark is the first of them.
        Raises StoreUnavailable.
        """
        rows = self._database.run_once(
            "relay", {"mark": mark, "limit": limit, "grace": self._grace, "far_out": self._far_out}
        )
        return [Due(*row[:5]) for row in rows if row[0] is not None], rows[0][5], int(rows[0][6])

    def far_out(self, confirmed: Sequence[Confirmed]) -> None:
        """Put off the next publish of tasks whose hints the broker has confirmed.

        Rows whose publish_at has changed stay as they are. Raises StoreUnavailable.
        """
        parameters = {
            "ids": array([group.id_list for group in confirmed]),
            "places": array([f"{place}," * (group.count - 1) + str(place) for place, group in enumerate(confirmed, 1)]),
            "publish_ats": text_array([group.publish_at for group in confirmed]),
            "grace": self._grace,
            "far_out": self._far_out,
        }
        self._database.run("far_out", parameters)

    def count_due(self, most: int, types: Sequence[str] = (), chosen: bool = False) -> int:
        """Count the due tasks, in a look at this many rows at most.

        It counts the tasks of `types`, or if these are not `chosen`, of all other types. After a full look the number
        is at least 1, since more may be behind it. Raises StoreUnavailable.
        """
        facts = {"far_out": self._far_out, "most": most, "types": text_array(types), "chosen": chosen}
        ((count,),) = self._database.run_once("count_due", facts)
        return int(count)

    def put_off(
        self, task_ids: Sequence[str], task_type: str, seconds: float, longest: float = 0.0, waits: bool = True
    ) -> list[str]:
        """Let the relay publish tasks again after some seconds. Returns those of them that were in the backlog.

        If no living worker runs the type, a task waits half as long again as it has waited, up to `longest` seconds.
        `waits` for rows that other sessions have locked; otherwise these are left out. Raises StoreUnavailable.
        """
        facts = {
            "ids": array(list(task_ids)),
            "task_type": task_type.replace("\0", ""),
            "seconds": seconds,
            "longest": longest,
        }
        # no repetition inside: it would wait as long again, and the caller returns the hints
        return [row[0] for row in self._database.run("put_off" if waits else "put_off_free", facts, Deadline(0))]

    def due(self, task_ids: Sequence[str]) -> list[Due]:
        """Return those tasks in the backlog that are due now, to publish after a give back. Raises StoreUnavailable."""
        return [Due(*row) for row in self._database.run("due_hints", {"ids": array(list(task_ids))})]

    def due_and_free(self, task_ids: Sequence[str]) -> tuple[list[Due], list[str]]:
        """Return those tasks in the backlog that are due now: the free ones, and the ids of those with a locked row.

        Raises StoreUnavailable.
        """
        rows = self._database.run("free_hints", {"ids": array(list(task_ids))})
        return [Due(*row[:5]) for row in rows if row[5]], [row[0] for row in rows if not row[5]]

    def count(self, task_types: Sequence[str], limit: int) -> Counts:
        """Return the due tasks and those in progress by type, counted up to a limit. No types: of all.

        Raises StoreUnavailable.
        """
        types = text_array(task_types) if task_types else None
        facts = {"task_types": types, "limit": limit, "look": _LOOK_FACTOR * limit, "far_out": self._far_out}
        rows = self._database.run_once("count_backlog", facts)
        by_type = [(str(row[0]), int(row[1]), int(row[2])) for row in rows if row[0] is not None]
        most = max(sum(row[1] for row in by_type), sum(row[2] for row in by_type))
        return Counts(by_type, is_complete=most < limit and not any(row[3] for row in rows))

    def repair(
        self,
        after: str,
        limit: int,
        older_than_seconds: float,
        types: Sequence[str] = (),
        routed: bool = False,
        cut: str | None = None,
    ) -> tuple[str | None, int]:
        """Make a batch of due rows of one queue due for publishing, in the order of ids.

        The queue has the hints of `types`, or if it is not `routed`, of all other types.

        `older_than_seconds`: only rows that were published longer ago; 0, after the queue was lost, means all rows.
        `cut`: only rows that were published before this time of the database.
        Returns the last id of the batch (None: the end is reached) and the number of changed rows.
        Raises StoreUnavailable.
        """
        facts = {"after": after, "limit": limit, "older_than": older_than_seconds, "cut": cut}
        ((last, changed),) = self._database.run("repair", facts | {"types": text_array(types), "routed": routed})
        return last, int(changed)
