"""The shapes of the other answers, for the OpenAPI document only. Models that validate describe the requests."""

from pydantic import Field

from dtqs.api.tasks.records import Accepted, LogShape, Shape, TaskShape
from dtqs.api.web.feed import Point
from dtqs.readings import Reading, SystemLogRow, Throughput


class TaskPage(Shape):
    tasks: list[TaskShape]
    next: str | None = Field(description="`after` of the next page; null at the end")
    searched_to: str | None = Field(
        description="the page has all matching tasks that were submitted later; null at the end",
        json_schema_extra={"format": "date-time"},
    )


class LogPage(Shape):
    logs: list[LogShape]
    next: int | None = Field(description="`after` of the next page; null at the end")


class OverviewShape(Shape):
    reading: Reading
    rates: Throughput | None = Field(description="null until two readings exist")
    point: Point = Field(description="the values of the dashboard's charts")


class NewestLogs(Shape):
    logs: list[SystemLogRow] = Field(description="the newest last")


class TypeBacklog(Shape):
    due: int = Field(ge=0)
    in_progress: int = Field(ge=0)


class PoolBacklog(Shape):
    backlog: int = Field(ge=0, description="due and in_progress together, at least 1 if capped: the number to scale by")
    due: int = Field(ge=0)
    in_progress: int = Field(ge=0)
    capped: bool = Field(description="a limit ended the count: each number is a lower bound")


class BacklogShape(PoolBacklog):
    task_types: dict[str, TypeBacklog]
    pools: dict[str, PoolBacklog] = Field(description="the tasks of the types that each pool of this API's file runs")


class SessionShape(Shape):
    auth: bool = Field(description="whether requests need a key")
    key_name: str | None = Field(description="the key of the session; null without a session")
    scopes: list[str]
    expires_at: int | None = Field(description="Unix time")


class Uploaded(Shape):
    uri: str = Field(description="source for a payload: upload:ID")
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    media_type: str = Field(description="detected from the bytes")


class FieldProblem(Shape):
    field: str = Field(description="for example [3].payload.outputs[0].width")
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
    BacklogShape,
)  # fmt: skip
