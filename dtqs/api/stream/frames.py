"""Server-Sent Events as bytes: what a log row or a task's record becomes in a stream; pure."""

from dataclasses import dataclass

from dtqs.api.stream.position import ENDED
from dtqs.api.tasks.records import record
from dtqs.json_value import dumps
from dtqs.store.reads import TaskLogRow, TaskState
from dtqs.task import OUTCOMES, Status, TaskRecord

HEARTBEAT = b": heartbeat\n\n"
_STATUSES = {str(status) for status in Status}


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """One event on its way; `position` is where its stream then is in that task's log. One frame serves all streams that watch the task."""

    task_id: str
    position: int
    event: str
    data: bytes


def retry(seconds: float) -> bytes:
    return b"retry: %d\n\n" % round(seconds * 1000)


def encode(frame: StreamFrame, event_id: str) -> bytes:
    """JSON text has no line ends of its own, so its data is one line."""
    return b"event: %s\nid: %s\ndata: %s\n\n" % (frame.event.encode(), event_id.encode(), frame.data)


def of_row(row: TaskLogRow) -> StreamFrame | None:
    """Return what a log row becomes; None where that is nothing: lines that a processor logged, and outcomes, which come with the whole record."""
    if row.event == "progress":
        data = {
            "task_id": row.task_id,
            "fraction": None,
            "message": row.message,
            **(row.data or {}),
            "attempt": row.attempt,
            "at": row.at,
        }
        return StreamFrame(row.task_id, row.log_id, "progress", dumps(data))
    if row.event in _STATUSES and row.event not in OUTCOMES:
        data = {
            "task_id": row.task_id,
            "status": row.event,
            "attempt": row.attempt,
            "message": row.message,
            "error": row.data,
            "at": row.at,
        }
        return StreamFrame(row.task_id, row.log_id, "status", dumps(data))
    return None


def of_status(task: TaskRecord | TaskState, position: int) -> StreamFrame:
    """Where a task is when a stream begins."""
    data = {"task_id": task.task_id, "status": task.status, "attempt": task.attempt, "progress": task.progress}
    return StreamFrame(task.task_id, position, "status", dumps(data))


def final(task: TaskRecord) -> StreamFrame:
    return StreamFrame(task.task_id, ENDED, str(task.status), dumps(record(task)))
