"""Server-Sent Events as bytes, made from log rows and task records; pure."""

from dataclasses import dataclass

from dtqs.api.stream.position import ENDED
from dtqs.api.tasks.records import opening_event, progress_event, record, status_event
from dtqs.json_value import dumps
from dtqs.store.reads import TaskLogRow, TaskState
from dtqs.task import OUTCOMES, Status, TaskRecord

HEARTBEAT = b": heartbeat\n\n"
_STATUSES = {str(status) for status in Status}


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """One event to send. All streams that watch the task share it.

    `position` is the id of the last log row that a stream has seen after this event.
    """

    task_id: str
    position: int
    event: str
    data: bytes


def accepted(answer: bytes) -> bytes:
    """Return the event that begins the stream of a submit: the answer of an ordinary one, as JSON."""
    return b"event: accepted\ndata: %s\n\n" % answer


def retry(seconds: float) -> bytes:
    return b"retry: %d\n\n" % round(seconds * 1000)


def encode(frame: StreamFrame, event_id: bytes) -> bytes:
    """Return the bytes of an event. JSON text has no line breaks, so its data is one line."""
    return b"event: %s\nid: %s\ndata: %s\n\n" % (frame.event.encode(), event_id, frame.data)


def of_row(row: TaskLogRow) -> StreamFrame | None:
    """Return the event of a log row.

    None for a line that a processor logged, and for an outcome: `final` sends it with the whole record.
    """
    if row.event == "progress":
        return StreamFrame(row.task_id, row.log_id, "progress", dumps(progress_event(row)))
    if row.event in _STATUSES and row.event not in OUTCOMES:
        return StreamFrame(row.task_id, row.log_id, "status", dumps(status_event(row)))
    return None


def of_status(task: TaskRecord | TaskState, position: int) -> StreamFrame:
    """Return the event that begins a stream: a task's present status."""
    return StreamFrame(task.task_id, position, "status", dumps(opening_event(task)))


def final(task: TaskRecord) -> StreamFrame:
    """Return a task's last event, with its whole record."""
    return StreamFrame(task.task_id, ENDED, str(task.status), dumps(record(task)))
