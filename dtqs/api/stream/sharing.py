"""Streams that open at the same time read their tasks together. A lone one reads at once.

Measured with bench/streams.py on a loaded machine: PostgreSQL spends 124 to 158 µs on an opening, 170 to 198 before.
All run in greenlets of one process, so code between two waits needs no lock.
"""

from collections import deque
from collections.abc import Callable, Sequence

import gevent
from gevent.event import AsyncResult

from dtqs.errors import StoreUnavailable
from dtqs.store.reads import FEW_TASKS
from dtqs.task import TaskRecord

READERS = 2
"""Reads in flight at the same time: a large record must not hold up all openings."""

Read = Callable[[Sequence[str]], list[TaskRecord]]


class SharedReads:
    """`read` returns the tasks that exist; `patience_seconds` is the longest wait for a turn."""

    def __init__(self, read: Read, patience_seconds: float) -> None:
        self._read, self._patience = read, patience_seconds
        self._reading = 0
        self._waiting: deque[tuple[str, AsyncResult]] = deque()

    def task(self, task_id: str, owner: str | None) -> TaskRecord | None:
        """Return a task of this owner (None: of anybody), or None if it does not exist. Raises StoreUnavailable."""
        task = self._alone(task_id) if self._reading < READERS else self._together(task_id)
        return task if task is not None and owner in (None, task.submitted_by) else None

    def _alone(self, task_id: str) -> TaskRecord | None:
        self._reading += 1
        try:
            return next(iter(self._read([task_id])), None)
        finally:
            self._end_reading()

    def _together(self, task_id: str) -> TaskRecord | None:
        result = AsyncResult()
        self._waiting.append((task_id, result))
        try:
            task: TaskRecord | None = result.get(timeout=self._patience)
        except gevent.Timeout:
            raise StoreUnavailable("too many streams wait to be opened") from None
        return task

    def _end_reading(self) -> None:
        """Pass the turn on to those that wait, in a greenlet of its own: the caller has its answer."""
        if self._waiting:
            gevent.spawn(self._read_waiting)
        else:
            self._reading -= 1

    def _read_waiting(self) -> None:
        try:
            while self._waiting:
                self._read_group([self._waiting.popleft() for _ in range(min(FEW_TASKS, len(self._waiting)))])
        finally:
            self._reading -= 1

    def _read_group(self, group: Sequence[tuple[str, AsyncResult]]) -> None:
        try:
            found = {task.task_id: task for task in self._read([task_id for task_id, _ in group])}
        except StoreUnavailable as error:
            for _, result in group:
                result.set_exception(StoreUnavailable(str(error)))
        except Exception:  # one record cannot be read: only its own stream fails
            for task_id, result in group:
                self._read_one(task_id, result)
        else:
            for task_id, result in group:
                result.set(found.get(task_id))

    def _read_one(self, task_id: str, result: AsyncResult) -> None:
        try:
            result.set(next(iter(self._read([task_id])), None))
        except Exception as error:
            result.set_exception(error)
