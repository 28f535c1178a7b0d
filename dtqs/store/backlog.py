"""The backlog as publishers see it: what is due to be published, and when to look again."""

from collections.abc import Sequence

from dtqs.store.driver.database import Database
from dtqs.store.driver.statements import array
from dtqs.task import Due

FIRST_ID = "00000000-0000-0000-0000-000000000000"
LONG_AGO = "-infinity"


class Backlog:
    def __init__(self, database: Database, grace_seconds: float, far_out_seconds: float) -> None:
        self._database, self._grace, self._far_out = database, grace_seconds, far_out_seconds

    def now(self) -> tuple[str, float]:
        """Return where the mark may move to when a scan has read everything (some seconds ago), and the database's clock in seconds."""
        ((mark, at),) = self._database.run("relay_mark")
        return str(mark), float(at)

    def due_again(self, until: float, after: str, limit: int) -> tuple[str | None, int]:
        """The database's clock was stepped back: let a batch of rows that were due before stay due; `until` is what it would show now.

        Returns where it ended (None: at the end) and how many it changed. Raises StoreUnavailable.
        """
        parameters = {"until": until, "after": after, "limit": limit, "far_out": self._far_out}
        ((last, changed),) = self._database.run("due_again", parameters)
        return last, int(changed)

    def relay(self, mark: str, limit: int) -> tuple[list[Due], str | None]:
        """Take at most `limit` rows whose publish time has come, from the mark on; returns also where to go on, None when all were taken.

        What was taken is committed with a later time: publish it, then say far_out for what was confirmed. What somebody else has locked is left
        over, and the next look begins there: it may be given up. Raises StoreUnavailable.
        """
        rows = self._database.run_once(
            "relay", {"mark": mark, "limit": limit, "grace": self._grace, "far_out": self._far_out}
        )
        return [Due(*row[:5]) for row in rows if row[0] is not None], rows[0][5]

    def far_out(self, confirmed: Sequence[tuple[str, str]]) -> None:
        """Put off (task id, publish_at) pairs whose hints the broker has, where publish_at is still that. Raises StoreUnavailable."""
        ids, ats = array([i for i, _ in confirmed]), "{" + ",".join(f'"{at}"' for _, at in confirmed) + "}"
        self._database.run("far_out", {"ids": ids, "publish_ats": ats, "far_out": self._far_out})

    def put_off(self, task_ids: Sequence[str], task_type: str, seconds: float) -> None:
        """Leave those of these tasks that are of a type that we do not know for others. Raises StoreUnavailable."""
        self._database.run(
            "put_off", {"ids": array(list(task_ids)), "task_type": task_type.replace("\0", ""), "seconds": seconds}
        )

    def due(self, task_ids: Sequence[str]) -> list[Due]:
        """Which of these are in the backlog and due now: what to publish after a give back. Raises StoreUnavailable."""
        return [Due(*row) for row in self._database.run("due_hints", {"ids": array(list(task_ids))})]

    def repair(self, after: str, limit: int, older_than_seconds: float) -> tuple[str | None, int]:
        """Make due rows due for publishing, a batch in the order of ids; returns where it ended (None: at the end) and how many it changed.

        With 0 the queue was lost: all of them; else those published longer ago than that. Raises StoreUnavailable.
        """
        ((last, changed),) = self._database.run(
            "repair", {"after": after, "limit": limit, "older_than": older_than_seconds}
        )
        return last, int(changed)
