"""One reader for all streams of a process: events only wake it, what it passes on it has read from PostgreSQL.

A stream knows for itself where it is in each task's log, so the database is its buffer: one that is not ready, or full, is passed over and read for later.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence, Set

import gevent
from gevent.event import Event as Wake

from dtqs.api.stream.frames import StreamFrame, final, of_row
from dtqs.errors import StoreUnavailable
from dtqs.event import TaskEvent
from dtqs.store.reads import FEW_TASKS, Reads, TaskLogRow
from dtqs.task import OUTCOMES, TaskRecord

ROWS_PER_TASK = 100
"""Most log rows of a task in one turn; where there are more, it has another."""
TASKS_PER_TURN = 200
QUEUE_LIMIT = 256
QUEUE_BYTES = 8 << 20
"""A stream with so many frames unsent, or so much in them, gets no more until it has sent half of them."""
RECORDS_PER_LOOK = 50
"""Of so many tasks that have ended the records' sizes are looked at, and whether there is room for them, before they are read."""

logger = logging.getLogger(__name__)


class Watcher:
    """One stream's place in the hub. `positions` is the last log id that was queued, for each task without its final event."""

    def __init__(self, positions: dict[str, int], cut: Callable[[], None]) -> None:
        self.positions, self.cut = positions, cut
        self.sending_since: float | None = None
        self.queue: deque[StreamFrame] = deque()
        self.queued_bytes = 0
        self.wake = Wake()
        self.behind: set[str] = set()
        self.ended: set[str] = set()
        """Tasks of which only the final event is still to come, and no log row that would tell that."""
        self.ready = self.leaving = False

    @property
    def has_room(self) -> bool:
        return self.ready and len(self.queue) < QUEUE_LIMIT and self.queued_bytes < QUEUE_BYTES

    @property
    def is_low(self) -> bool:
        """It has sent so much that what it was passed over for may be read: not for each frame that it sends, since a read is of many tasks."""
        return self.has_room and len(self.queue) <= QUEUE_LIMIT // 2 and self.queued_bytes <= QUEUE_BYTES // 2

    def put(self, frame: StreamFrame) -> None:
        self.queue.append(frame)
        self.queued_bytes += len(frame.data)
        self.wake.set()

    def take(self) -> StreamFrame:
        """Return the next frame, which the stream sends now."""
        frame = self.queue.popleft()
        self.queued_bytes -= len(frame.data)
        return frame

    def leave(self) -> None:
        """End the stream at the next opportunity, whatever is still to come."""
        self.leaving = True
        self.wake.set()


class Hub:
    """Who watches what. All of it runs in greenlets of one process."""

    def __init__(self, reads: Reads, reread_seconds: float) -> None:
        self._reads, self._reread_seconds = reads, reread_seconds
        self._watchers: dict[str, set[Watcher]] = {}
        self._all: set[Watcher] = set()
        self._dirty: dict[str, None] = {}
        self._said_ended: set[str] = set()
        self._wake = Wake()
        self._greenlet: gevent.Greenlet | None = None
        self.closing = False

    @property
    def count(self) -> int:
        return len(self._all)

    @property
    def watched(self) -> KeysView[str]:
        """The ids of the tasks that are watched; a view, which follows."""
        return self._watchers.keys()

    def start(self) -> None:
        """Safe to call twice."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Safe to call twice."""
        self.end_streams()
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def end_streams(self) -> None:
        """Let every stream end itself; from now on new ones do so at once."""
        self.closing = True
        for watcher in list(self._all):
            watcher.leave()

    def add(self, watcher: Watcher) -> None:
        self._all.add(watcher)
        for task_id in watcher.positions:
            self._watchers.setdefault(task_id, set()).add(watcher)

    def remove(self, watcher: Watcher, task_ids: Iterable[str]) -> None:
        """Forget a stream and what it watched. Safe to call twice."""
        self._all.discard(watcher)
        for task_id in task_ids:
            self._unwatch(watcher, task_id)

    def ready(self, watcher: Watcher) -> None:
        """Begin to pass on to a stream, also what it was not ready for until now."""
        watcher.ready = True
        self.catch_up(watcher)

    def catch_up(self, watcher: Watcher) -> None:
        """A stream has room again: look at what it was passed over for."""
        behind, watcher.behind = watcher.behind, set()
        self._look_at(behind)

    def finish(self, watcher: Watcher, frame: StreamFrame) -> None:
        """Give a stream the final event of one of its tasks, unless it had it."""
        if watcher.positions.pop(frame.task_id, None) is not None:
            watcher.put(frame)
            self._unwatch(watcher, frame.task_id)

    def cut_stalled(self, limit_seconds: float) -> None:
        """Cut the connections of clients that have taken nothing for so long."""
        oldest = time.monotonic() - limit_seconds
        for watcher in [one for one in self._all if one.sending_since and one.sending_since < oldest]:
            watcher.cut()

    def on_events(self, events: list[TaskEvent]) -> None:
        """Wake the reader for what of `watched` has changed; called by the broker's link, and must not wait."""
        # without a row in the log there is nothing to read: a light task has begun
        watched = [event for event in events if event.log_id is not None]
        self._said_ended.update(event.task_id for event in watched if event.event in OUTCOMES)
        self._look_at(event.task_id for event in watched)

    def _look_at(self, task_ids: Iterable[str]) -> None:
        self._dirty.update(dict.fromkeys(task_ids))
        if self._dirty:
            self._wake.set()

    def _run(self) -> None:
        reread_at = time.monotonic() + self._reread_seconds
        while True:
            self._wake.wait(max(0.0, reread_at - time.monotonic()))
            self._wake.clear()
            try:
                while self._dirty:
                    self._turn(set())
                if time.monotonic() >= reread_at:
                    self._reread()
                    reread_at = time.monotonic() + self._reread_seconds
            except StoreUnavailable as error:
                logger.warning("streams wait for the store", extra={"reason": str(error)})
                gevent.sleep(min(1.0, self._reread_seconds))
                self._wake.set()
            except Exception:  # a row that cannot be read must not end everybody's streams
                logger.exception("a turn of the streams failed")
                gevent.sleep(min(1.0, self._reread_seconds))

    def _turn(self, known_ended: set[str]) -> None:
        """Pass on what is new in some tasks' logs, then the records of those that have ended."""
        taken = self._take()
        positions = {
            task_id: min(watcher.positions[task_id] for watcher in watchers) for task_id, watchers in taken.items()
        }
        if not positions:
            return
        try:
            early = self._read_early(positions, taken)
            if not positions:
                return
            rows = self._reads.watch(positions, ROWS_PER_TASK)
            counts = Counter(row.task_id for row in rows)
            long = {task_id for task_id, count in counts.items() if count == ROWS_PER_TASK}
            told = known_ended | {
                task_id for task_id, watchers in taken.items() if any(task_id in watcher.ended for watcher in watchers)
            }
            ended = {row.task_id for row in rows if row.event in OUTCOMES} | (told & positions.keys() - long)
            self._pass_on(rows, taken)
            self._finish_all(ended, early, taken)
        except BaseException:
            self._look_at(positions)
            raise
        self._look_at(long)

    def _take(self) -> dict[str, list[Watcher]]:
        """Take some of the tasks to look at, with the streams that have room; only they get what this turn reads, the others are noted as behind."""
        taken: dict[str, list[Watcher]] = {}
        while self._dirty and len(taken) < TASKS_PER_TURN:
            task_id = next(iter(self._dirty))
            del self._dirty[task_id]
            for watcher in self._watchers.get(task_id, ()):
                if watcher.has_room:
                    taken.setdefault(task_id, []).append(watcher)
                else:
                    watcher.behind.add(task_id)
        return taken

    def _pass_on(self, rows: Sequence[TaskLogRow], taken: Mapping[str, Sequence[Watcher]]) -> None:
        for row in rows:
            if row.event in OUTCOMES:
                continue  # no stream goes past it but by the final event, whose record may have to be read again
            frame = of_row(row)
            for watcher in taken[row.task_id]:
                # it may have left while we read
                if row.log_id > watcher.positions.get(row.task_id, row.log_id):
                    watcher.positions[row.task_id] = row.log_id
                    if frame:
                        watcher.put(frame)

    def _read_early(self, positions: dict[str, int], taken: Mapping[str, Sequence[Watcher]]) -> list[TaskRecord]:
        """Read the records of those of which an event says that they have ended; where nothing else is new in its log, a task is done with here.

        That is how most tasks end, and it is one round trip for who waits.
        """
        said, self._said_ended = [task_id for task_id in self._said_ended if task_id in positions], set()
        found = (
            self._reads.ended({task_id: positions[task_id] for task_id in said}) if 0 < len(said) <= FEW_TASKS else []
        )
        for task, alone in found:
            if alone and task.status in OUTCOMES:
                self._finish(final(task), taken[task.task_id])
                del positions[task.task_id]
        return [task for task, _ in found]

    def _finish_all(self, ended: Set[str], early: Sequence[TaskRecord], taken: Mapping[str, Sequence[Watcher]]) -> None:
        for task in early:
            if task.task_id in ended and task.status in OUTCOMES:
                self._finish(final(task), taken[task.task_id])
        late = sorted(ended - {task.task_id for task in early})
        for start in range(0, len(late), RECORDS_PER_LOOK):
            for part in self._reads.slices(self._with_room(late[start : start + RECORDS_PER_LOOK], taken)):
                wanted = self._with_room(part, taken)
                for task in self._reads.tasks(wanted) if wanted else ():
                    if task.status in OUTCOMES:
                        self._finish(final(task), taken[task.task_id])

    def _with_room(self, task_ids: Sequence[str], taken: Mapping[str, Sequence[Watcher]]) -> list[str]:
        """Return those whose final event some stream has room for; the others are noted as behind, and not read in vain."""
        wanted = [task_id for task_id in task_ids if any(watcher.has_room for watcher in taken[task_id])]
        for task_id in set(task_ids).difference(wanted):
            for watcher in taken[task_id]:
                watcher.behind.add(task_id)
        return wanted

    def _finish(self, frame: StreamFrame, watchers: Sequence[Watcher]) -> None:
        for watcher in watchers:
            if watcher.has_room:
                self.finish(watcher, frame)
            else:
                watcher.behind.add(frame.task_id)  # its outcome is read again when there is room

    def _reread(self) -> None:
        """Look at all watched tasks: an event may have been lost, and a log row pruned."""
        watched = list(self._watchers)
        for start in range(0, len(watched), TASKS_PER_TURN):
            part = [task_id for task_id in watched[start : start + TASKS_PER_TURN] if task_id in self._watchers]
            found = self._reads.watched(part) if part else []
            ended = {one.task_id for one in found if one.status in OUTCOMES}
            self._look_at(ended)
            self._look_at(
                one.task_id
                for one in found
                if any(one.last_log_id > w.positions[one.task_id] for w in self._watchers.get(one.task_id, ()))
            )
            while self._dirty:
                self._turn(ended)

    def _unwatch(self, watcher: Watcher, task_id: str) -> None:
        watchers = self._watchers.get(task_id)
        if watchers is not None:
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[task_id]
