"""The beginning of a stream: each task's status, or, for a task that the client has followed before, the events since.

For a new task, events begin with its present or last attempt; if its log is long, they begin now. For several tasks,
only states are read here. The hub reads the records of ended ones as the stream has room.
"""

from collections.abc import Mapping, Sequence, Set

from dtqs.api.stream.frames import StreamFrame, final, of_row, of_status
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.position import AT_THE_END
from dtqs.api.stream.watcher import Watcher
from dtqs.errors import NotFound
from dtqs.store.reads import Reads, TaskLogRow, TaskState, Watched
from dtqs.task import OUTCOMES, Status, TaskRecord

TaskNow = TaskRecord | TaskState

_WINDOW_MIN, _WINDOW_MAX, _WINDOW_TOTAL = 20, 200, 4000


def look(reads: Reads, task_ids: Sequence[str], owner: str | None) -> Sequence[TaskNow]:
    """Return the tasks that exist and belong to the owner, as `begin` needs them. Raises StoreUnavailable."""
    return reads.tasks(task_ids, owner) if len(task_ids) == 1 else reads.states(task_ids, owner)


def begin(
    reads: Reads,
    hub: Hub,
    watcher: Watcher,
    seen: Mapping[str, int],
    task_ids: Sequence[str],
    tasks: Sequence[TaskNow],
) -> None:
    """Queue the first events of a stream. `tasks`: read after its subscription. Raises NotFound, StoreUnavailable."""
    if missing := set(task_ids) - {task.task_id for task in tasks}:
        raise NotFound("task", min(missing))
    open_tasks = [task for task in tasks if task.task_id in watcher.positions]
    window = max(_WINDOW_MIN, min(_WINDOW_MAX, _WINDOW_TOTAL // len(open_tasks)))
    with_history = {
        task.task_id: seen.get(task.task_id, 0) for task in open_tasks if task.task_id in seen or has_history(task)
    }
    rows = reads.watch(with_history, window) if with_history else []
    by_task: dict[str, list[TaskLogRow]] = {task.task_id: [] for task in open_tasks}
    for row in rows:
        by_task[row.task_id].append(row)
    long = {task_id for task_id, some in by_task.items() if len(some) == window}
    new = [task for task in open_tasks if task.task_id not in seen]
    skipped = _read_last(reads, [task.task_id for task in new if task.task_id in long])
    _queue_new_tasks(watcher, new, by_task, skipped)
    _queue_rows(watcher, rows)
    # also tasks that ended between our reads: their last log row was read, and no event will come
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
    """Queue the final events of tasks whose other events are queued."""
    missing = sorted(ended - {task.task_id for task in at_hand})
    if len(missing) > 1:
        watcher.ended |= set(missing)
        watcher.behind |= set(missing)
        missing = []
    for task in [*at_hand, *(reads.tasks(missing) if missing else ())]:
        if task.task_id in ended and task.status in OUTCOMES:
            hub.finish(watcher, final(task))


def _read_last(reads: Reads, task_ids: Sequence[str]) -> dict[str, Watched]:
    """Read the state of tasks whose long log is skipped: after an end, not even the outcome's row is still to come."""
    return {one.task_id: one for one in reads.watched(task_ids)} if task_ids else {}


def _queue_new_tasks(
    watcher: Watcher,
    new: Sequence[TaskNow],
    by_task: Mapping[str, Sequence[TaskLogRow]],
    skipped: Mapping[str, Watched],
) -> None:
    for task in new:
        last = skipped.get(task.task_id)
        start = last.last_log_id if last else history_start(task.status, by_task[task.task_id])
        if task.status in OUTCOMES and not has_history(task):
            start = AT_THE_END  # its log was not read; a resumed stream skips it too
        watcher.positions[task.task_id] = start
        watcher.put(of_status(task, start))


def _queue_rows(watcher: Watcher, rows: Sequence[TaskLogRow]) -> None:
    for row in rows:
        if row.log_id > watcher.positions[row.task_id]:
            watcher.positions[row.task_id] = row.log_id
            frame: StreamFrame | None = of_row(row)
            if frame:
                watcher.put(frame)


def has_history(task: TaskNow) -> bool:
    """Tell whether the log may hold more than the record. For most tasks it does not: they are new, or tiny."""
    return task.progress is not None or not (task.status in OUTCOMES or task.attempt == 0)


def history_start(status: Status, rows: Sequence[TaskLogRow]) -> int:
    """Return the id of the row after which a stream continues once it has sent the status.

    It is the row that began this status, or else the last row that began any; 0 without one.
    """
    wanted = Status.IN_PROGRESS if status in OUTCOMES else status
    began = [row.log_id for row in rows if row.event == wanted]
    other = [row.log_id for row in rows if row.event in (Status.PENDING, Status.IN_PROGRESS)]
    return max(began or other, default=0)
