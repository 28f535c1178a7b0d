"""The shapes of answers, for the OpenAPI document only; what is accepted is described by the models that validate it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dtqs.api.web.feed import Point
from dtqs.readings import Reading, SystemLogRow, Throughput
from dtqs.task import PRIORITY_MAX, PRIORITY_MIN

StatusName = Literal["pending", "in_progress", "completed", "failed", "cancelled"]


class Shape(BaseModel):
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
    attempt: int = Field(ge=0, description="the one that runs, or ran last; 0 before the first")
    max_retries: int = Field(ge=0)
    payload: Any
    result: Any = Field(description="null until it is completed")
    error: Any = Field(description="of the last attempt that failed, or null")
    tags: list[str]
    progress: Any = Field(description='{"fraction", "message"} as the attempt last reported it, or null')
    retry_of: str | None = Field(description="the failed or cancelled task that a person's retry names")
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    due_at: str | None
    started_at: str | None
    finished_at: str | None


class TaskPage(Shape):
    tasks: list[TaskShape]
    next: str | None = Field(description="what to give as after for the next page; null at the end")


class LogShape(Shape):
    id: int
    event: str = Field(description="a status, or progress, or log")
    attempt: int | None
    level: str
    message: str | None
    data: Any
    at: str = Field(json_schema_extra={"format": "date-time"})
    worker_id: str | None


class LogPage(Shape):
    logs: list[LogShape]
    next: int | None = Field(description="what to give as after for the next page; null at the end")


class OverviewShape(Shape):
    reading: Reading
    rates: Throughput | None = Field(description="null before there are two readings")
    point: Point = Field(description="what the dashboard's charts show of it")


class NewestLogs(Shape):
    logs: list[SystemLogRow] = Field(description="the newest last")


class SessionShape(Shape):
    auth: bool = Field(description="whether keys are needed at all")
    key_name: str | None = Field(description="whose session it is; null where there is none")
    scopes: list[str]
    expires_at: int | None = Field(description="Unix time")


class Uploaded(Shape):
    uri: str = Field(description="what a payload names as a source: upload:ID")
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    media_type: str = Field(description="told from the bytes")


class FieldProblem(Shape):
    field: str = Field(description="as in [3].payload.outputs[0].width")
    message: str


class ProblemShape(Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[FieldProblem] | None = None


ALL: tuple[type[Shape], ...] = (
    Accepted, TaskShape, TaskPage, LogPage, OverviewShape, NewestLogs, SessionShape, Uploaded, ProblemShape,
)  # fmt: skip
