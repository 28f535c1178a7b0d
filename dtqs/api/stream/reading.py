"""One turn of the hub: read the news of some tasks from PostgreSQL and queue it for the streams that have room."""

import logging
from collections import Counter
from collections.abc import MutableSet, Sequence, Set
from dataclasses import dataclass

from dtqs.api.stream.frames import StreamFrame, final, of_row
from dtqs.api.stream.pace import GreenletPace
from dtqs.api.stream.registry import Registry
from dtqs.api.stream.watcher import Watcher
from dtqs.errors import StoreUnavailable
from dtqs.store.reads import Reads, TaskLogRow
from dtqs.task import OUTCOMES, TaskRecord

logger = logging.getLogger(__name__)
ROWS_PER_TASK, ROWS_PER_TURN = 100, 4000
"""Most log rows of a task in one turn, and about the most of all tasks. A task with more rows gets another turn."""
RECORDS_PER_READ = 50
"""Most ended tasks whose record sizes are read at once, to find room for them before the records are read."""
SLICES_PER_TURN = 4
"""Most reads of records in one turn, each of about 8 MiB at most. Ended tasks that are left get another turn."""

Taken = dict[str, list[Watcher]]


@dataclass(frozen=True, slots=True)
class _Turn:
    """The tasks of one turn with the streams that get their news, and the tasks that lack only their final event.

    A stream without room for a row leaves the turn for this task. A later turn reads on from its position.
    """

    reads: Reads
    registry: Registry
    taken: Taken
    known_ended: Set[str]
    pace: GreenletPace

    def read(self, positions: dict[str, int], told: Set[str]) -> Sequence[str]:
        """Read and queue. Return the tasks that have more than one turn takes: more rows, or large records."""
        early = self._finish_announced(positions, told)
        if not positions:
            return []
        limit = min(ROWS_PER_TASK, max(1, ROWS_PER_TURN // len(positions)))
        rows = self.reads.watch(positions, limit)
        counts = Counter(row.task_id for row in rows)
        long = {task_id for task_id, count in counts.items() if count == limit}
        ended = {row.task_id for row in rows if row.event in OUTCOMES}
        ended |= self.known_ended & positions.keys() - long
        self._queue_rows(rows)
        return self._in_order(long | self._finish_all(ended, early))

    def _in_order(self, task_ids: Set[str]) -> list[str]:
        """Return tasks in the order of their news, so that a later turn reads on where this one ended."""
        return [task_id for task_id in self.taken if task_id in task_ids]

    def _finish_announced(self, positions: dict[str, int], told: Set[str]) -> list[TaskRecord]:
        """Read the records of tasks with an announced outcome. Finish those without other news: their positions go.

        Most tasks end this way, and it costs all of them one round trip.
        """
        wanted = {task_id: positions[task_id] for task_id in told}
        found = self.reads.ended(wanted) if wanted else []
        for task, alone in found:
            if alone and task.status in OUTCOMES:
                self._finish(final(task))
                del positions[task.task_id]
        return [task for task, _ in found]

    def _queue_rows(self, rows: Sequence[TaskLogRow]) -> None:
        for row in rows:
            # only the final event moves a stream past the end, since its record may have to be read again
            if row.event not in OUTCOMES:
                self._queue_row(row)

    def _queue_row(self, row: TaskLogRow) -> None:
        frame = of_row(row)
        full: set[Watcher] = set()
        watchers = self.taken[row.task_id]
        for watcher in watchers:
            # the stream may have left during the read
            if row.log_id > watcher.positions.get(row.task_id, row.log_id):
                if frame and not watcher.has_room:
                    watcher.behind.add(row.task_id)
                    full.add(watcher)
                    continue
                watcher.positions[row.task_id] = row.log_id
                if frame:
                    watcher.put(frame)
            self.pace.spend()
        if full:
            self.taken[row.task_id] = [watcher for watcher in watchers if watcher not in full]

    def _finish_all(self, ended: Set[str], early: Sequence[TaskRecord]) -> Set[str]:
        """Read and queue the records of ended tasks. Return those that are left: others must not wait for gigabytes."""
        for task in early:
            if task.task_id in ended and task.status in OUTCOMES:
                self._finish(final(task))
        late = self._in_order(ended - {task.task_id for task in early})
        reads_left = SLICES_PER_TURN
        for start in range(0, len(late), RECORDS_PER_READ):
            left = late[start:]
            for part in self.reads.slices(self._with_room(left[:RECORDS_PER_READ])):
                if not reads_left:
                    return set(left)
                self._finish_part(self._with_room(part))
                left = [task_id for task_id in left if task_id not in part]
                reads_left -= 1
        return set()

    def _finish_part(self, task_ids: Sequence[str]) -> None:
        for task in self.reads.tasks(task_ids) if task_ids else ():
            if task.status in OUTCOMES:
                self._finish(final(task))

    def _with_room(self, task_ids: Sequence[str]) -> list[str]:
        """Return the tasks for whose final event some stream has room. Mark the streams of the others as behind."""
        wanted = []
        for task_id in task_ids:
            watchers = self.taken[task_id]
            if any(watcher.has_room for watcher in watchers):
                wanted.append(task_id)
            else:
                for watcher in watchers:
                    watcher.behind.add(task_id)
            self.pace.spend(len(watchers))
        return wanted

    def _finish(self, frame: StreamFrame) -> None:
        for watcher in self.taken[frame.task_id]:
            if watcher.has_room:
                self.registry.finish(watcher, frame)
            else:
                watcher.behind.add(frame.task_id)  # the record is read again when the stream has room
            self.pace.spend()


def read_news(reads: Reads, registry: Registry, announced: MutableSet[str], known_ended: Set[str]) -> None:
    """Queue new log rows of some tasks, then the records of those that have ended.

    `announced` are tasks whose outcome an event has announced; this turn removes its own. `known_ended` are tasks that
    a reading found ended. Raises StoreUnavailable; the tasks then keep their news.
    """
    pace = GreenletPace()
    taken = registry.take_news(pace)
    positions, unannounced = _positions(taken, pace)
    if not positions:
        return
    told = announced & positions.keys()
    announced -= told
    turn = _Turn(reads, registry, taken, (known_ended & positions.keys()) | unannounced, pace)
    unread = set(positions)
    try:
        again = turn.read(positions, told)
    except StoreUnavailable:
        registry.note_news(unread)
        raise
    except Exception:
        _read_apart(turn, told)
        return
    except BaseException:
        registry.note_news(unread)
        raise
    registry.note_news(again)


def _positions(taken: Taken, pace: GreenletPace) -> tuple[dict[str, int], set[str]]:
    """Return the first position of each task among its streams, and the tasks that lack only their final event."""
    positions: dict[str, int] = {}
    unannounced: set[str] = set()
    for task_id, watchers in taken.items():
        # a stream may have got the final event since it was taken
        if known := [one.positions[task_id] for one in watchers if task_id in one.positions]:
            positions[task_id] = min(known)
            if any(task_id in one.ended for one in watchers):
                unannounced.add(task_id)
        pace.spend(len(watchers))
    return positions, unannounced


def _read_apart(turn: _Turn, told: Set[str]) -> None:
    """Read the news of each task alone, and end the streams of one whose news cannot be read or written.

    Raises StoreUnavailable; the tasks that are left then keep their news.
    """
    left = list(turn.taken)
    while left:
        task_id = left[0]
        watchers = turn.taken[task_id]
        position = {task_id: min((one.positions.get(task_id, 0) for one in watchers), default=0)}
        try:
            turn.registry.note_news(turn.read(position, told & {task_id}))
        except StoreUnavailable:
            turn.registry.note_news(left)
            raise
        except Exception:
            logger.exception("the news of a task cannot be sent: its streams end", extra={"task_id": task_id})
            for watcher in watchers:
                watcher.leave()
        left.pop(0)
