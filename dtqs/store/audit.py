"""The audit of law 3: each task without an outcome is in exactly one place, and no other task is in any."""

import itertools
from dataclasses import dataclass

from dtqs.store.backlog import FIRST_ID
from dtqs.store.driver.database import Database
from dtqs.store.reads import LAST_ID, LOOK_LIMIT
from dtqs.task import OUTCOMES


@dataclass(frozen=True, slots=True)
class Violation:
    """A task that breaks law 3: it is not in exactly the places where it must be."""

    task_id: str
    words: str


@dataclass(frozen=True, slots=True)
class Audited:
    """The audit of a batch: its violations, its number of tasks, and its last id; `after` is `None` at the end."""

    violations: list[Violation]
    tasks: int
    after: str | None


class Audit:
    def __init__(self, database: Database) -> None:
        self._database = database

    def parts(self) -> list[tuple[str, str]]:
        """Divide all tasks into parts of about equal size: `after` and `until` of each. Raises StoreUnavailable."""
        rows = self._database.run("audit_bounds")
        return list(itertools.pairwise([FIRST_ID, *(rows[0][0] if rows else []), LAST_ID]))

    def batch(self, after: str | None, limit: int, until: str = LAST_ID) -> Audited:
        """Check law 3 on a batch of tasks, in one statement. Raises StoreUnavailable."""
        rows = self._database.run("audit", {"after": after or FIRST_ID, "until": until, "limit": limit})
        count = rows[-1][5] if rows else 0
        return Audited(
            [v for row in rows if (v := _violation(*row[:5]))], count, rows[-1][0] if count == limit else None
        )

    def strays(self) -> list[Violation]:
        """Return the ids in backlog and leases that belong to no task, at most 100 of each. It reads bounded batches.

        Raises StoreUnavailable.
        """
        strays: list[str] = []
        after, count = FIRST_ID, LOOK_LIMIT
        while count == LOOK_LIMIT and len(strays) < 100:
            ((last, count, found),) = self._database.run("audit_strays", {"after": after, "limit": LOOK_LIMIT})
            after, strays = last or after, strays + found
        leased = [row[0] for row in self._database.run("audit_lease_strays")]
        places = [(task_id, "the backlog") for task_id in strays[:100]] + [(task_id, "a lease") for task_id in leased]
        return [Violation(task_id, f"in {place}, but there is no such task") for task_id, place in places]


def _violation(task_id: str, outcome: str | None, backlog: int, held: int, live: int) -> Violation | None:
    if outcome in OUTCOMES:
        return (
            Violation(task_id, f"{outcome}, and in {backlog} backlog rows and {held} leases")
            if backlog + held
            else None
        )
    if backlog + held == 1 and live == held:
        return None
    return Violation(
        task_id, f"no outcome, and in {backlog} backlog rows and {held} leases, {live} of them of living workers"
    )
