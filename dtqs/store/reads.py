"""The reads of API, streams and command line: tasks, pages, logs. Each looks at a bounded number of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dtqs.errors import NotFound
from dtqs.store.driver.database import Database
from dtqs.store.driver.plain import parsed
from dtqs.store.driver.statements import array, lived_since
from dtqs.task import Status, TaskRecord, task_record

LOOK_LIMIT, FAR_LIMIT, SCATTERED_LIMIT = 1000, 10_000, 4000
"""Most rows that are read for a page of a listing: the first number, and if few of them match the second one. The third
is for listings of a status, whose tasks lie scattered among others."""
TAGGED_LIMIT = 5000
"""A tag of this many tasks is not rare: a walk finds enough of them."""
SLICE_BYTES = 8 << 20
"""Payloads and results read at once have this size at most, or belong to one task: each has a limit of its own."""
SMALL_RECORD_BYTES = 256 << 10
"""A task with smaller payload and result is read without a look at its size. To write it as JSON takes about 1 ms."""
_TAGS = 9
"""Place of the tags in a record. They are few and short."""
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_PAGES = {
    Status.PENDING: "page_pending",
    Status.IN_PROGRESS: "page_in_progress",
    Status.FAILED: "page_failures",
    Status.CANCELLED: "page_failures",
    Status.COMPLETED: "page_tasks",
    None: "page_tasks",
}


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """The filter of a listing; None: any. `owner`: the API key of the tasks. `unretried`: only those not retried."""

    status: Status | None = None
    task_type: str | None = None
    tag: str | None = None
    owner: str | None = None
    unretried: bool = False

    @property
    def parameters(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("status", "task_type", "tag", "owner", "unretried")}


@dataclass(frozen=True, slots=True)
class TaskListing:
    """Tasks, newest first, and the cursor of the next page: None at the end. A page may be short before the end."""

    tasks: tuple[TaskRecord, ...]
    after: str | None
    after_matches: bool = True
    """False if the cursor is a task that does not match the filter: it may belong to another owner."""


@dataclass(frozen=True, slots=True)
class TaskLogRow:
    """One row of a task's log. `event` is a status, progress or log."""

    log_id: int
    task_id: str
    event: str
    attempt: int | None
    level: str
    message: str | None
    data: Any
    at: str
    worker_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskState:
    """Status and progress of a task, without payload and result."""

    task_id: str
    status: Status
    attempt: int
    progress: Any


@dataclass(frozen=True, slots=True)
class Watched:
    """Status of a watched task now. `last_log_id` is 0 if it has no log row."""

    task_id: str
    status: Status
    attempt: int
    last_log_id: int


class Reads:
    def __init__(self, database: Database, keeps_text: bool = False) -> None:
        """`keeps_text`: large values of records stay JSON text, as `orjson.Fragment`, to be written again."""
        self._database, self._keeps_text = database, keeps_text
        self._record = _record if keeps_text else lambda columns: task_record(parsed(columns))

    def task(self, task_id: str, owner: str | None = None) -> TaskRecord:
        """Return one task. Raises NotFound (also for another owner's task), StoreUnavailable."""
        found = self.tasks([task_id], owner)
        if not found:
            raise NotFound("task", task_id)
        return found[0]

    def tasks(self, task_ids: Sequence[str], owner: str | None = None) -> list[TaskRecord]:
        """Return the tasks that exist, in the given order. Raises StoreUnavailable."""
        rows = {row[0]: self._record(row) for row in self._database.run("read_tasks", _by_ids(task_ids, owner=owner))}
        return [rows[i] for i in task_ids if i in rows]

    def small(self, task_id: str, owner: str | None = None) -> TaskRecord | None:
        """Return a task of at most SMALL_RECORD_BYTES; None for a larger one, too. Raises StoreUnavailable."""
        found = self._database.run("read_small", _by_ids([task_id], owner=owner, most_bytes=SMALL_RECORD_BYTES))
        return self._record(found[0]) if found else None

    def first(self, task_ids: Sequence[str], owner: str | None = None) -> tuple[list[TaskRecord], list[str]]:
        """Return the first of these tasks, as many as may be read at once, and the ids that were not looked at.

        Tasks that do not exist are left out. Raises StoreUnavailable.
        """
        wanted = list(dict.fromkeys(task_ids))
        if len(wanted) <= 1:
            return self.tasks(wanted, owner), []
        found = self._database.run("read_first", _by_ids(wanted, owner=owner, most_bytes=SLICE_BYTES))
        rows = {row[0]: self._record(row) for row in found}
        looked_at = max((place for place, task_id in enumerate(wanted, 1) if task_id in rows), default=len(wanted))
        return [rows[i] for i in wanted if i in rows], wanted[looked_at:]

    def ended(self, positions: Mapping[str, int]) -> list[tuple[TaskRecord, bool]]:
        """Return the ended tasks among these that are small enough to be read together.

        `positions` maps each id to the last log id seen. The flag is true if the row of the end is the only new row of
        the task's log. Raises StoreUnavailable.
        """
        most_bytes = SLICE_BYTES // max(1, len(positions))
        rows = self._database.run(
            "read_ended", _by_ids(list(positions), after=_after(positions), most_bytes=most_bytes)
        )
        return [(self._record(row[:-1]), row[-1] <= 1) for row in rows]

    def states(self, task_ids: Sequence[str], owner: str | None = None) -> list[TaskState]:
        """Return the states of the tasks that exist, in the given order. Raises StoreUnavailable.

        For many tasks, whose records may be too large to read at once.
        """
        found = self._database.run("read_states", _by_ids(task_ids, owner=owner))
        rows = {
            task_id: TaskState(task_id, Status(status), attempt, progress)
            for task_id, status, attempt, progress in found
        }
        return [rows[i] for i in task_ids if i in rows]

    def slices(self, task_ids: Sequence[str]) -> list[list[str]]:
        """Split ids, in their order, into parts whose tasks may be read at once. Raises StoreUnavailable."""
        if len(task_ids) <= 1:
            return [list(task_ids)] if task_ids else []
        sizes: dict[str, int] = dict(self._database.run("read_sizes", {"ids": array(task_ids), "owner": None}))
        parts, part_bytes = [list[str]()], 0
        for task_id in task_ids:
            size_bytes = sizes.get(task_id, 0)
            if parts[-1] and part_bytes + size_bytes > SLICE_BYTES:
                parts.append([])
                part_bytes = 0
            parts[-1].append(task_id)
            part_bytes += size_bytes
        return parts

    def size(self, task_id: str, owner: str | None = None) -> int:
        """Return the bytes of a task's payload and result. Raises NotFound, StoreUnavailable."""
        for row in self._database.run("read_sizes", {"ids": array([task_id]), "owner": owner}):
            return int(row[1])
        raise NotFound("task", task_id)

    def existing(self, task_ids: Sequence[str], owner: str | None = None) -> set[str]:
        """Return which of these tasks exist and belong to the owner. Raises StoreUnavailable."""
        return {row[0] for row in self._database.run("read_owners", {"ids": array(task_ids), "owner": owner})}

    def page(self, wanted: TaskFilter, limit: int, after: str | None = None) -> TaskListing:
        """Return a page of a listing, shorter if its tasks are large. `after` is the cursor of the page before.

        Raises StoreUnavailable.
        """
        matching, rest = self._find(wanted, limit + 1, after or LAST_ID)
        cursor = matching[limit - 1] if len(matching) > limit else rest
        tasks, left = self.first(matching[:limit], wanted.owner)
        if left:
            cursor = tasks[-1].task_id
        return TaskListing(
            tuple(t for t in tasks if wanted.status is None or t.status == wanted.status), cursor, cursor in matching
        )

    def _find(self, wanted: TaskFilter, count: int, after: str) -> tuple[list[str], str | None]:
        """Look for the ids of `count` matching tasks. Return also how far it looked: None is the end.

        It walks back from the cursor. If few tasks match, it asks the index of tags, or else walks farther.
        """
        found, rest = self._walk(wanted, after, LOOK_LIMIT)
        if rest is None or len(found) >= count:
            return found, rest
        if wanted.tag and wanted.status is not Status.IN_PROGRESS:
            ((is_complete, tagged),) = self._database.run(
                "page_tagged", wanted.parameters | {"after": after, "most": TAGGED_LIMIT, "wanted": count}
            )
            if is_complete:
                return tagged, None
        is_scattered = wanted.status not in (None, Status.COMPLETED)
        more, rest = self._walk(wanted, rest, SCATTERED_LIMIT if is_scattered else FAR_LIMIT)
        return found + more, rest

    def _walk(self, wanted: TaskFilter, after: str, look: int) -> tuple[list[str], str | None]:
        rows = self._database.run(_PAGES[wanted.status], wanted.parameters | {"after": after, "look": look})
        rest = rows[-1][0] if rows and rows[-1][2] == look else None
        return [task_id for task_id, matches, _ in rows if matches], rest

    def logs(self, task_id: str, after: int = 0, limit: int = 1000) -> list[TaskLogRow]:
        """Return a task's log rows after one id, fewer if they are long. Raises StoreUnavailable."""
        return self.logs_page(task_id, after, limit)[0]

    def logs_page(self, task_id: str, after: int, limit: int) -> tuple[list[TaskLogRow], bool]:
        """Return a task's log rows after one id, of about `SLICE_BYTES`, and whether more may follow.

        Raises StoreUnavailable.
        """
        bounds = {"after": after, "limit": limit, "most_bytes": SLICE_BYTES}
        rows = self._database.run("read_logs", {"task_id": task_id, "since": lived_since([task_id]), **bounds})
        kept = rows if self._keeps_text else [parsed(row) for row in rows]
        found = [TaskLogRow(row[0], task_id, *row[1:-1]) for row in kept]
        return found, len(rows) == limit or bool(rows and rows[-1][-1])

    def watch(self, positions: dict[str, int], limit: int = 200) -> list[TaskLogRow]:
        """Return the new log rows of tasks, at most `limit` of each. `positions` maps each id to the last log id seen.

        Raises StoreUnavailable.
        """
        parameters = _by_ids(list(positions), after=_after(positions), limit=limit)
        return [TaskLogRow(*row) for row in self._database.run("watch", parameters)]

    def watched(self, task_ids: Sequence[str]) -> list[Watched]:
        """Return the status of each task now. Raises StoreUnavailable."""
        rows = self._database.run("watch_status", _by_ids(task_ids))
        return [Watched(task_id, Status(status), attempt, last or 0) for task_id, status, attempt, last in rows]


def _record(columns: Sequence[Any]) -> TaskRecord:
    return task_record([*columns[:_TAGS], *parsed(columns[_TAGS : _TAGS + 1]), *columns[_TAGS + 1 :]])


def _by_ids(task_ids: Sequence[str], **others: object) -> dict[str, object]:
    return {"ids": array(task_ids), "since": lived_since(task_ids), **others}


def _after(positions: Mapping[str, int]) -> str:
    return array([str(position) for position in positions.values()])
