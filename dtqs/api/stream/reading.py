"""One turn of the hub: read the news of some tasks from PostgreSQL and queue it for the streams that have room."""

import logging
from collections import Counter
from collections.abc import Mapping, MutableSet, Sequence, Set

from dtqs.api.stream.frames import StreamFrame, final, of_row
from dtqs.api.stream.registry import Registry
from dtqs.api.stream.watcher import Watcher
from dtqs.errors import StoreUnavailable
from dtqs.store.reads import Reads, TaskLogRow
from dtqs.task import OUTCOMES, TaskRecord

logger = logging.getLogger(__name__)
ROWS_PER_TASK = 100
"""Most log rows of a task in one turn. A task with more rows gets another turn."""
RECORDS_PER_READ = 50
"""Most ended tasks whose record sizes are read at once, to find room for them before the records are read."""

Taken = Mapping[str, Sequence[Watcher]]


def read_news(reads: Reads, registry: Registry, announced: MutableSet[str], known_ended: Set[str]) -> None:
    """Queue new log rows of some tasks, then the records of those that have ended.

    `announced` are tasks whose outcome an event has announced; this turn removes its own. `known_ended` are tasks that
    a reading found ended. Raises StoreUnavailable; the tasks then keep their news.
    """
    taken = registry.take_news()
    positions = {task_id: min(one.positions[task_id] for one in watchers) for task_id, watchers in taken.items()}
    if not positions:
        return
    told = announced & positions.keys()
    announced -= told
    unread = set(positions)
    try:
        again = _read(reads, registry, taken, positions, told, known_ended)
    except StoreUnavailable:
        registry.note_news(unread)
        raise
    except Exception:
        _read_apart(reads, registry, taken, told, known_ended)
        return
    except BaseException:
        registry.note_news(unread)
        raise
    registry.note_news(again)


def _read_apart(reads: Reads, registry: Registry, taken: Taken, told: Set[str], known_ended: Set[str]) -> None:
    """Read the news of each task alone, and end the streams of one whose news cannot be read or written.

    Raises StoreUnavailable; the tasks that are left then keep their news.
    """
    left = list(taken)
    while left:
        task_id, watchers = left[0], taken[left[0]]
        position = {task_id: min(one.positions.get(task_id, 0) for one in watchers)}
        try:
            again = _read(reads, registry, {task_id: watchers}, position, told & {task_id}, known_ended & {task_id})
            registry.note_news(again)
        except StoreUnavailable:
            registry.note_news(left)
            raise
        except Exception:
            logger.exception("the news of a task cannot be sent: its streams end", extra={"task_id": task_id})
            for watcher in watchers:
                watcher.leave()
        left.pop(0)


def _read(
    reads: Reads,
    registry: Registry,
    taken: Taken,
    positions: dict[str, int],
    told: Set[str],
    known_ended: Set[str],
) -> Set[str]:
    """Read and queue. Return the tasks that have more rows than one turn takes."""
    early = _finish_announced(reads, registry, taken, positions, told)
    if not positions:
        return set()
    rows = reads.watch(positions, ROWS_PER_TASK)
    counts = Counter(row.task_id for row in rows)
    long = {task_id for task_id, count in counts.items() if count == ROWS_PER_TASK}
    unannounced = {task_id for task_id, watchers in taken.items() if any(task_id in one.ended for one in watchers)}
    ended = {row.task_id for row in rows if row.event in OUTCOMES}
    ended |= (known_ended | unannounced) & positions.keys() - long
    _queue_rows(rows, taken)
    _finish_all(reads, registry, ended, early, taken)
    return long


def _finish_announced(
    reads: Reads, registry: Registry, taken: Taken, positions: dict[str, int], told: Set[str]
) -> list[TaskRecord]:
    """Read the records of tasks with an announced outcome. Finish those with no other news, and drop their positions.

    Most tasks end this way, and it costs all of them one round trip.
    """
    wanted = {task_id: positions[task_id] for task_id in told}
    found = reads.ended(wanted) if wanted else []
    for task, alone in found:
        if alone and task.status in OUTCOMES:
            _finish(registry, final(task), taken[task.task_id])
            del positions[task.task_id]
    return [task for task, _ in found]


def _queue_rows(rows: Sequence[TaskLogRow], taken: Taken) -> None:
    for row in rows:
        # only the final event moves a stream past the end, since its record may have to be read again
        if row.event not in OUTCOMES:
            _queue_row(row, taken[row.task_id])


def _queue_row(row: TaskLogRow, watchers: Sequence[Watcher]) -> None:
    frame = of_row(row)
    for watcher in watchers:
        # the stream may have left during the read
        if row.log_id > watcher.positions.get(row.task_id, row.log_id):
            watcher.positions[row.task_id] = row.log_id
            if frame:
                watcher.put(frame)


def _finish_all(reads: Reads, registry: Registry, ended: Set[str], early: Sequence[TaskRecord], taken: Taken) -> None:
    for task in early:
        if task.task_id in ended and task.status in OUTCOMES:
            _finish(registry, final(task), taken[task.task_id])
    late = sorted(ended - {task.task_id for task in early})
    for start in range(0, len(late), RECORDS_PER_READ):
        for part in reads.slices(_with_room(late[start : start + RECORDS_PER_READ], taken)):
            _finish_part(reads, registry, _with_room(part, taken), taken)


def _finish_part(reads: Reads, registry: Registry, task_ids: Sequence[str], taken: Taken) -> None:
    for task in reads.tasks(task_ids) if task_ids else ():
        if task.status in OUTCOMES:
            _finish(registry, final(task), taken[task.task_id])


def _with_room(task_ids: Sequence[str], taken: Taken) -> list[str]:
    """Return the tasks for whose final event some stream has room. Mark the streams of the others as behind."""
    wanted = [task_id for task_id in task_ids if any(watcher.has_room for watcher in taken[task_id])]
    for task_id in set(task_ids).difference(wanted):
        for watcher in taken[task_id]:
            watcher.behind.add(task_id)
    return wanted


def _finish(registry: Registry, frame: StreamFrame, watchers: Sequence[Watcher]) -> None:
    for watcher in watchers:
        if watcher.has_room:
            registry.finish(watcher, frame)
        else:
            watcher.behind.add(frame.task_id)  # the record is read again when the stream has room
