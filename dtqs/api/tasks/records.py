"""The shapes of tasks, log rows and links in answers and streams, as functions and as models for OpenAPI; pure."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dtqs.store.reads import TaskLogRow, TaskState
from dtqs.task import PRIORITY_MAX, PRIORITY_MIN, Status, TaskRecord

StatusName = Literal["pending", "in_progress", "completed", "failed", "cancelled"]


class Shape(BaseModel):
    """A JSON object of an answer. The OpenAPI document describes it; no answer is validated."""

    model_config = ConfigDict(extra="forbid")


class AcceptedLinks(Shape):
    self: str = Field(description="the task")
    sse: str = Field(description="its events, with a ticket that a browser can use")
    logs: str = Field(description="its log")


class Accepted(Shape):
    task_id: str = Field(json_schema_extra={"format": "uuid"})
    status: StatusName
    links: AcceptedLinks


class TaskShape(Shape):
    task_id: str = Field(json_schema_extra={"format": "uuid"})
    task_type: str
    status: StatusName
    priority: int = Field(ge=PRIORITY_MIN, le=PRIORITY_MAX)
    attempt: int = Field(ge=0, description="the running attempt, or the last one; 0 before the first")
    max_retries: int = Field(ge=0)
    payload: Any
    result: Any = Field(description="null until the task is completed")
    error: Any = Field(description="error of the last failed attempt, or null")
    tags: list[str]
    progress: Any = Field(description='{"fraction", "message"} as the attempt last reported it, or null')
    retry_of: str | None = Field(description="the failed or cancelled task that this one retries")
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    due_at: str | None
    started_at: str | None
    finished_at: str | None
    request_id: str | None = Field(
        description="X-Request-ID of the submit; null for a task that a person retried in the console, or an old one"
    )


class LogShape(Shape):
    id: int
    event: str = Field(description="a status, or progress, or log")
    attempt: int | None
    level: str
    message: str | None
    data: Any
    at: str = Field(json_schema_extra={"format": "date-time"})
    worker_id: str | None


FIELDS = tuple(TaskShape.model_fields)
"""A task's fields, in their order."""


def record(task: TaskRecord) -> dict[str, Any]:
    return {name: getattr(task, name) for name in FIELDS}


def log_row(row: TaskLogRow) -> dict[str, Any]:
    return {
        "id": row.log_id, "event": row.event, "attempt": row.attempt, "level": row.level, "message": row.message,
        "data": row.data, "at": row.at, "worker_id": row.worker_id,
    }  # fmt: skip


def accepted(base: str, task_id: str, status: Status, ticket: str) -> dict[str, object]:
    """Return the answer for one accepted task. `base` begins each link; `ticket` ends the stream's link."""
    task = f"{base}/tasks/{task_id}"
    links = {"self": task, "sse": f"{base}/sse?task_id={task_id}{ticket}", "logs": f"{task}/logs"}
    return {"task_id": task_id, "status": status, "links": links}


def progress_event(row: TaskLogRow) -> dict[str, Any]:
    """Return the data of a `progress` event."""
    own = {"attempt": row.attempt, "at": row.at}
    return {"task_id": row.task_id, "fraction": None, "message": row.message} | (row.data or {}) | own


def status_event(row: TaskLogRow) -> dict[str, Any]:
    """Return the data of a `status` event that a log row announces."""
    return {
        "task_id": row.task_id, "status": row.event, "attempt": row.attempt, "message": row.message,
        "error": row.data, "at": row.at,
    }  # fmt: skip


def opening_event(task: TaskRecord | TaskState) -> dict[str, Any]:
    """Return the data of the `status` event that begins a stream."""
    return {"task_id": task.task_id, "status": task.status, "attempt": task.attempt, "progress": task.progress}
