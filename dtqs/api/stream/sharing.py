"""Streams that open at the same time read their tasks together. A lone one reads at once.

Measured with bench/streams.py on a loaded machine: PostgreSQL spends 124 to 158 µs on an opening, 170 to 198 before.
All run in greenlets of one process, so code between two waits needs no lock.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import gevent
from gevent.event import AsyncResult

from dtqs.errors import StoreUnavailable
from dtqs.task import TaskRecord

READERS = 2
"""Reads in flight at the same time: a large record must not hold up all openings."""
GROUP_TASKS = 8
"""Most streams that share a read."""
WAITING_LIMIT = 20_000

Read = Callable[[Sequence[str]], tuple[list[TaskRecord], list[str]]]


class SharedReads:
    """`read` returns the first tasks that exist, and the ids that are left for the next read: tasks may be large.

    `patience_seconds` is the longest wait for a turn.

    When the store is away, all that wait hear it at once: each further read would wait for the store, too.
    """

    def __init__(self, read: Read, patience_seconds: float) -> None:
        self._read, self._patience = read, patience_seconds
        self._reading = 0
        self._lines: OrderedDict[str, OrderedDict[AsyncResult, str]] = OrderedDict()
        """The wishes of each key, oldest first. The key whose turn is next comes first."""
        self._waiting = 0

    def task(self, task_id: str, owner: str | None, holder: str = "") -> TaskRecord | None:
        """Return a task of this owner (None: of anybody), or None if it does not exist. Raises StoreUnavailable.

        Keys that wait get their turns fairly: large tasks of one key delay the streams of others little. `holder` is
        the key of the stream.
        """
        task = self._alone(task_id) if self._reading < READERS else self._together(task_id, holder)
        return task if task is not None and owner in (None, task.submitted_by) else None

    def _alone(self, task_id: str) -> TaskRecord | None:
        self._reading += 1
        try:
            return self._one(task_id)
        except StoreUnavailable as error:
            self._refuse_waiting(error)
            raise
        finally:
            self._end_reading()

    def _together(self, task_id: str, holder: str) -> TaskRecord | None:
        if self._waiting >= WAITING_LIMIT:
            raise _too_many()
        result = AsyncResult()
        self._lines.setdefault(holder, OrderedDict())[result] = task_id
        self._waiting += 1
        try:
            with gevent.Timeout(self._patience, _too_many()):
                task: TaskRecord | None = result.get()
        finally:
            # after a timeout or a kill nobody wants the task: the next read must serve those that still wait
            self._leave(holder, result)
        return task

    def _leave(self, holder: str, result: AsyncResult) -> None:
        line = self._lines.get(holder)
        if line is not None and line.pop(result, None) is not None:
            self._waiting -= 1
            if not line:
                del self._lines[holder]

    def _take(self) -> tuple[AsyncResult, str]:
        """Remove the oldest wish of the next key, which comes last then."""
        holder, line = next(iter(self._lines.items()))
        self._lines.move_to_end(holder)
        # the first key of a dict, taken again and again, costs quadratic time: 0.3 s for 20,000 wishes
        result = next(iter(line))
        task_id = line[result]
        self._leave(holder, result)
        return result, task_id

    def _end_reading(self) -> None:
        """Pass the turn on to those that wait, in a greenlet of its own: the caller has its answer."""
        if self._waiting:
            gevent.spawn(self._read_waiting)
        else:
            self._reading -= 1

    def _read_waiting(self) -> None:
        try:
            while self._waiting:
                self._read_group([self._take() for _ in range(min(GROUP_TASKS, self._waiting))])
        finally:
            self._reading -= 1

    def _read_group(self, group: Sequence[tuple[AsyncResult, str]]) -> None:
        while group:
            try:
                tasks, left = self._read([task_id for _, task_id in group])
            except StoreUnavailable as error:
                _refuse((result for result, _ in group), error)
                self._refuse_waiting(error)
                return
            except Exception:  # one record cannot be read: only its own stream fails
                for result, task_id in group:
                    self._read_one(task_id, result)
                return
            found = {task.task_id: task for task in tasks}
            for result, task_id in group:
                if task_id not in left:
                    result.set(found.get(task_id))
            group = [(result, task_id) for result, task_id in group if task_id in left]

    def _read_one(self, task_id: str, result: AsyncResult) -> None:
        try:
            result.set(self._one(task_id))
        except Exception as error:
            result.set_exception(error)

    def _one(self, task_id: str) -> TaskRecord | None:
        return next(iter(self._read([task_id])[0]), None)

    def _refuse_waiting(self, error: StoreUnavailable) -> None:
        lines, self._lines, self._waiting = self._lines, OrderedDict(), 0
        for line in lines.values():
            _refuse(line, error)


def _refuse(results: Iterable[AsyncResult], error: StoreUnavailable) -> None:
    for result in results:
        result.set_exception(StoreUnavailable(str(error)))


def _too_many() -> StoreUnavailable:
    return StoreUnavailable("too many streams wait to be opened")
