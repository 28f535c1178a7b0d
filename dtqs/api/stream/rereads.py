"""The order in which watched tasks are read again, since an event may be lost.

Keys take turns, so a key with few watched tasks has all of them read each time, however many others have. Tasks that
run, and new ones, come before the waiting tasks of the same key: their events come soon.
"""

from collections import OrderedDict, deque

_WAITING_EVERY = 4
"""One of this many readings of a key is for a task that waits, if both kinds are left."""


class _Tasks:
    """The watched tasks of one key, each with the number of its streams. The orders hold the last round of each."""

    __slots__ = ("_lively", "_steps", "_streams", "_waiting")

    def __init__(self) -> None:
        self._streams: dict[str, int] = {}
        self._lively: OrderedDict[str, int] = OrderedDict()
        self._waiting: OrderedDict[str, int] = OrderedDict()
        self._steps = 0

    def add(self, task_id: str) -> None:
        streams = self._streams[task_id] = self._streams.get(task_id, 0) + 1
        if streams == 1:
            self._lively[task_id] = 0

    def drop(self, task_id: str) -> bool:
        """Forget one stream of a task. Return whether a task is left."""
        streams = self._streams[task_id] = self._streams[task_id] - 1
        if not streams:
            del self._streams[task_id]
            if self._lively.pop(task_id, None) is None:
                del self._waiting[task_id]
        return bool(self._streams)

    def next(self, number: int) -> str | None:
        """Return a task that this round has not read yet, or None."""
        self._steps += 1
        orders = (self._lively, self._waiting)
        for order in orders if self._steps % _WAITING_EVERY else orders[::-1]:
            task_id, read_in = next(iter(order.items()), ("", number))
            if read_in != number:
                order[task_id] = number
                order.move_to_end(task_id)
                return task_id
        return None

    def found(self, task_id: str, is_running: bool) -> None:
        old, new = (self._waiting, self._lively) if is_running else (self._lively, self._waiting)
        read_in = old.pop(task_id, None)
        if read_in is not None:
            new[task_id] = read_in


class Rereads:
    """The watched tasks of all keys."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, _Tasks] = OrderedDict()
        """The key whose last turn is longest ago comes first."""
        self._number = 0

    def add(self, holder: str, task_id: str) -> None:
        """Note that one more stream of a key watches a task."""
        tasks = self._keys.get(holder)
        if tasks is None:
            tasks = self._keys[holder] = _Tasks()
        tasks.add(task_id)

    def drop(self, holder: str, task_id: str) -> None:
        """Note that a stream of a key watches a task no more."""
        if not self._keys[holder].drop(task_id):
            del self._keys[holder]

    def take(self, most: int) -> dict[str, str]:
        """Return the tasks of the next round, at most `most`, each with its key."""
        self._number += 1
        taken: dict[str, str] = {}
        turns = deque(self._keys)
        while turns and len(taken) < most:
            holder = turns.popleft()
            task_id = self._keys[holder].next(self._number)
            if task_id is not None:
                taken[task_id] = holder
                self._keys.move_to_end(holder)
                turns.append(holder)
        return taken

    def found(self, holder: str, task_id: str, is_running: bool) -> None:
        """Note what a reading has found. The stream may have left meanwhile."""
        tasks = self._keys.get(holder)
        if tasks is not None:
            tasks.found(task_id, is_running)
