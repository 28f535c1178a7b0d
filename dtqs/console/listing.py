"""Tasks that match a filter. Each search reads a bounded number of tasks; the operator can continue it further back."""

import dataclasses
import time

from dtqs.console.snapshot import TaskWanted
from dtqs.errors import NotFound
from dtqs.store.reads import Reads, TaskFilter
from dtqs.task import Status, TaskRecord

FOUND_LIMIT = 200
_PAGES = 10
_SECONDS = 1.0
_ID_CHARACTERS = 36
_LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


class Listing:
    """The search of the Queue tab. A refresh repeats the first search; of older finds it reads only the status."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._of: TaskWanted | None = None
        self._found: list[TaskRecord] = []
        self._after: str | None = None
        self._looks = 0

    def look(self, wanted: TaskWanted, further: int) -> tuple[tuple[TaskRecord, ...], bool]:
        """Return the matches after `further` continued searches, newest first, and whether older tasks remain.

        Raises StoreUnavailable, StoreRefused.
        """
        if len(wanted.prefix) == _ID_CHARACTERS:
            return self._one(wanted), False
        if wanted != self._of or further < self._looks or not further:
            self._of = None
            self._found, self._after = self._pages(wanted, None)
            self._of, self._looks = wanted, 0
        elif self._looks == further:
            self._refresh()
        while self._looks < further and self._after is not None:
            more, self._after = self._pages(wanted, self._after)
            self._found, self._looks = self._found + more, self._looks + 1
        self._looks = further
        return tuple(self._found), self._after is not None

    def _one(self, wanted: TaskWanted) -> tuple[TaskRecord, ...]:
        try:
            task = self._reads.task(wanted.prefix)
        except NotFound:
            return ()
        fits = (
            wanted.status in ("", task.status)
            and wanted.task_type in ("", task.task_type)
            and (not wanted.tag or wanted.tag in task.tags)
        )
        return (task,) if fits else ()

    def _pages(self, wanted: TaskWanted, after: str | None) -> tuple[list[TaskRecord], str | None]:
        """Return the matches after a cursor, and the next cursor, None at the end."""
        wanted_tasks = TaskFilter(
            Status(wanted.status) if wanted.status else None, wanted.task_type or None, wanted.tag or None
        )
        if after is None and wanted.prefix:
            after = wanted.prefix + _LAST[len(wanted.prefix) :]
        found: list[TaskRecord] = []
        until = time.monotonic() + _SECONDS
        for _ in range(_PAGES):
            page = self._reads.page(wanted_tasks, FOUND_LIMIT - len(found), after)
            found += [task for task in page.tasks if task.task_id.startswith(wanted.prefix)]
            after = page.after
            if after is None or after[: len(wanted.prefix)] < wanted.prefix:
                return found, None
            if len(found) >= FOUND_LIMIT or time.monotonic() > until:
                break
        return found, after

    def _refresh(self) -> None:
        states = {state.task_id: state for state in self._reads.states([task.task_id for task in self._found])}
        self._found = [
            dataclasses.replace(task, status=state.status, attempt=state.attempt)
            if (state := states.get(task.task_id))
            else task
            for task in self._found
        ]
