"""How a stream begins: for each of its tasks where it is now, or, for one that the client has followed before, what came since.

A task that is new to the client is told from the beginning of its present attempt (the last one where it has ended), if its log is short;
a long one from now on. Of many tasks only where they are is read here; the records of those that have ended the hub reads, as there is room for them.
"""

from collections.abc import Mapping, Sequence, Set

from dtqs.api.stream.frames import StreamFrame, final, of_row, of_status
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.position import AT_THE_END
from dtqs.api.stream.watcher import Watcher
from dtqs.errors import NotFound
from dtqs.store.reads import FEW_TASKS, Reads, TaskLogRow, TaskState, Watched
from dtqs.task import OUTCOMES, Status, TaskRecord

Told = TaskRecord | TaskState

_WINDOW_MIN, _WINDOW_MAX, _WINDOW_TOTAL = 20, 200, 4000


def begin(
    reads: Reads, hub: Hub, watcher: Watcher, seen: Mapping[str, int], task_ids: Sequence[str], owner: str | None
) -> None:
    """Queue what a stream begins with. It is subscribed already, so nothing falls between. Raises NotFound, StoreUnavailable."""
    tasks: Sequence[Told] = (
        reads.tasks(task_ids, owner) if len(task_ids) <= FEW_TASKS else reads.states(task_ids, owner)
    )
    if missing := set(task_ids) - {task.task_id for task in tasks}:
        raise NotFound("task", min(missing))
    open_tasks = [task for task in tasks if task.task_id in watcher.positions]
    window = max(_WINDOW_MIN, min(_WINDOW_MAX, _WINDOW_TOTAL // len(open_tasks)))
    storied = {
        task.task_id: seen.get(task.task_id, 0) for task in open_tasks if task.task_id in seen or has_story(task)
    }
    rows = reads.watch(storied, window) if storied else []
    by_task: dict[str, list[TaskLogRow]] = {task.task_id: [] for task in open_tasks}
    for row in rows:
        by_task[row.task_id].append(row)
    long = {task_id for task_id, some in by_task.items() if len(some) == window}
    new = [task for task in open_tasks if task.task_id not in seen]
    skipped = _read_last(reads, [task.task_id for task in new if task.task_id in long])
    _tell_new_ones(watcher, new, by_task, skipped)
    _tell_rows(watcher, rows)
    # also those whose end lies between our reads: their last log row is behind us, and no event will come
    ended = {row.task_id for row in rows if row.event in OUTCOMES} | {
        task_id for task_id, last in skipped.items() if last.status in OUTCOMES
    }
    ended |= {task.task_id for task in open_tasks if task.status in OUTCOMES and task.task_id not in long}
    watcher.behind |= long - ended
    _finish(
        reads,
        hub,
        watcher,
        ended,
        [task for task in open_tasks if isinstance(task, TaskRecord) and task.status in OUTCOMES],
    )


def _finish(reads: Reads, hub: Hub, watcher: Watcher, ended: Set[str], at_hand: Sequence[TaskRecord]) -> None:
    """Queue the final events of tasks of which all else is told."""
    missing = sorted(ended - {task.task_id for task in at_hand})
    if len(missing) > FEW_TASKS:
        watcher.ended |= set(missing)
        watcher.behind |= set(missing)
        missing = []
    for task in [*at_hand, *(reads.tasks(missing) if missing else ())]:
        if task.task_id in ended and task.status in OUTCOMES:
            hub.finish(watcher, final(task))


def _read_last(reads: Reads, task_ids: Sequence[str]) -> dict[str, Watched]:
    """Read where those are whose long log is skipped: of one that has ended, not even the outcome's row is still to come."""
    return {one.task_id: one for one in reads.watched(task_ids)} if task_ids else {}


def _tell_new_ones(
    watcher: Watcher, new: Sequence[Told], by_task: Mapping[str, Sequence[TaskLogRow]], skipped: Mapping[str, Watched]
) -> None:
    for task in new:
        last = skipped.get(task.task_id)
        start = last.last_log_id if last else story_start(task.status, by_task[task.task_id])
        if task.status in OUTCOMES and not has_story(task):
            start = AT_THE_END  # its log was not read, and is not to be told when the stream resumes
        watcher.positions[task.task_id] = start
        watcher.put(of_status(task, start))


def _tell_rows(watcher: Watcher, rows: Sequence[TaskLogRow]) -> None:
    for row in rows:
        if row.log_id > watcher.positions[row.task_id]:
            watcher.positions[row.task_id] = row.log_id
            frame: StreamFrame | None = of_row(row)
            if frame:
                watcher.put(frame)


def has_story(task: Told) -> bool:
    """Tell whether there may be anything in the log that the record does not say: most tasks are watched from before they run, or are tiny."""
    return task.progress is not None or not (task.status in OUTCOMES or task.attempt == 0)


def story_start(status: Status, rows: Sequence[TaskLogRow]) -> int:
    """Return after which row a stream goes on that has just told the status: the one that began it, or else the last that began any; 0 where none did."""
    wanted = Status.IN_PROGRESS if status in OUTCOMES else status
    began = [row.log_id for row in rows if row.event == wanted]
    other = [row.log_id for row in rows if row.event in (Status.PENDING, Status.IN_PROGRESS)]
    return max(began or other, default=0)
