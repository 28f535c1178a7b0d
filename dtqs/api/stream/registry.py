"""The streams of one process, the tasks that they watch, and the tasks with news."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, KeysView

from dtqs.api.stream.frames import StreamFrame
from dtqs.api.stream.pace import GreenletPace
from dtqs.api.stream.places import Places
from dtqs.api.stream.rereads import Rereads
from dtqs.api.stream.unsent import Unsent
from dtqs.api.stream.watcher import Watcher

TASKS_PER_TURN = 200


class Registry:
    """All methods run in greenlets of one process, so they need no lock. Only `take_news` waits, between two tasks."""

    def __init__(self, unsent: Unsent) -> None:
        self._unsent = unsent
        self._by_task: dict[str, set[Watcher]] = {}
        self._all: set[Watcher] = set()
        self.places, self.rereads = Places(), Rereads()
        # to take the first key of a dict again and again costs quadratic time: 1.1 s for 40,000 tasks
        self._news: OrderedDict[str, None] = OrderedDict()

    @property
    def count(self) -> int:
        return len(self._all)

    @property
    def watched(self) -> KeysView[str]:
        """The ids of the watched tasks, as a view that follows changes."""
        return self._by_task.keys()

    @property
    def has_news(self) -> bool:
        return bool(self._news)

    def add(self, watcher: Watcher) -> None:
        self._all.add(watcher)
        self.places.take(watcher)
        watcher.enter(self._unsent)
        for task_id in watcher.positions:
            self._by_task.setdefault(task_id, set()).add(watcher)
            self.rereads.add(watcher.holder, task_id)

    def remove(self, watcher: Watcher, task_ids: Iterable[str]) -> None:
        """Forget a stream and its tasks. Safe to call twice."""
        self._all.discard(watcher)
        self.places.free(watcher)
        watcher.drop()
        for task_id in task_ids:
            self._unwatch(watcher, task_id)

    def note_news(self, task_ids: Iterable[str]) -> None:
        self._news.update(dict.fromkeys(task_ids))

    def take_news(self, pace: GreenletPace) -> dict[str, list[Watcher]]:
        """Return some tasks with news, each with its streams that have room. Mark the other streams as behind."""
        taken: dict[str, list[Watcher]] = {}
        while self._news and len(taken) < TASKS_PER_TURN:
            task_id, _ = self._news.popitem(last=False)
            watchers = self.watchers(task_id)
            count = len(watchers)
            for watcher in watchers:
                if watcher.has_room:
                    taken.setdefault(task_id, []).append(watcher)
                else:
                    watcher.behind.add(task_id)
            pace.spend(count)
        return taken

    def watchers(self, task_id: str) -> Collection[Watcher]:
        return self._by_task.get(task_id, ())

    def finish(self, watcher: Watcher, frame: StreamFrame) -> None:
        """Give a stream the final event of one of its tasks, once."""
        if watcher.positions.pop(frame.task_id, None) is not None:
            self.places.ended(watcher)
            watcher.put(frame)
            self._unwatch(watcher, frame.task_id)

    def finish_all(self, frame: StreamFrame) -> bool:
        """Give the final event to all streams of its task that have room. Return whether that is all of them."""
        for watcher in list(self.watchers(frame.task_id)):
            if watcher.has_room:
                self.finish(watcher, frame)
        return not self.watchers(frame.task_id)

    def end_streams(self) -> None:
        for watcher in list(self._all):
            watcher.leave()

    def _unwatch(self, watcher: Watcher, task_id: str) -> None:
        watchers = self._by_task.get(task_id)
        if watchers is not None and watcher in watchers:
            watchers.remove(watcher)
            self.rereads.drop(watcher.holder, task_id)
            if not watchers:
                del self._by_task[task_id]
