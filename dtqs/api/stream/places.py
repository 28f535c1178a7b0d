"""The places for streams of one process, and for the tasks that they watch. If all are taken, the key with most gives.

A holder is an API key, also of a stream by ticket: a ticket names the key of its tasks. A stream that ends early
resumes where it was, so nothing is lost by it.
"""

from collections import Counter

from dtqs.api.stream.watcher import Watcher


class Places:
    """The streams of each holder, oldest first. Each counts with its tasks that have not ended."""

    def __init__(self) -> None:
        self._held: dict[str, dict[Watcher, None]] = {}
        self._tasks: Counter[str] = Counter()
        self.tasks = 0

    def take(self, watcher: Watcher) -> None:
        self._held.setdefault(watcher.holder, {})[watcher] = None
        self._count(watcher.holder, len(watcher.positions))

    def free(self, watcher: Watcher) -> None:
        """Give a place back. Safe to call twice."""
        held = self._held.get(watcher.holder)
        if held is None or watcher not in held:
            return
        del held[watcher]
        self._count(watcher.holder, -len(watcher.positions))
        if not held:
            del self._held[watcher.holder]

    def ended(self, watcher: Watcher) -> None:
        """Count one task less, which was removed from the watcher's positions."""
        if watcher in self._held.get(watcher.holder, ()):
            self._count(watcher.holder, -1)

    def make_room(self, holder: str) -> bool:
        """End the newest stream of the holder of most places. Return False if `holder` would have as many."""
        most = max(self._held.values(), key=len, default={})
        if len(most) < len(self._held.get(holder, ())) + 2:
            return False
        self._end(next(reversed(most)))
        return True

    def make_room_for_tasks(self, holder: str, tasks: int, most: int) -> bool:
        """End the newest streams of the holder of most tasks until `tasks` more are at most `most`.

        Return False, and end none, if it would then have fewer tasks than `holder`.
        """
        missing = self.tasks + tasks - most
        if missing <= 0:
            return True
        greedy, left = max(self._tasks.items(), key=lambda held: held[1], default=(holder, 0))
        own = self._tasks[holder] + tasks
        ending: list[Watcher] = []
        for watcher in reversed(self._held.get(greedy, {})):
            size = len(watcher.positions)
            if missing <= 0 or left - size < own:
                break
            left, missing = left - size, missing - size
            if size:
                ending.append(watcher)
        if missing > 0:
            return False
        for watcher in ending:
            self._end(watcher)
        return True

    def _end(self, watcher: Watcher) -> None:
        self.free(watcher)
        watcher.leave()

    def _count(self, holder: str, tasks: int) -> None:
        self.tasks += tasks
        self._tasks[holder] += tasks
        if not self._tasks[holder]:
            del self._tasks[holder]
