"""Frozen values of the client's methods. Values from the API keep their JSON in `json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dtqs.task import OUTCOMES, Status

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Submission:
    """A task to submit. None selects the default of the task type, or no payload; `due_at` has a time zone."""

    task_type: str
    payload: Mapping[str, Any] | None = field(default_factory=dict)
    priority: int | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None
    delay_seconds: float | None = None
    due_at: datetime | str | None = None
    tags: Sequence[str] = ()

    def as_json(self) -> Json:
        """Return the body for the API, without unset fields. Raises TypeError for tags that are one text."""
        if isinstance(self.tags, str | bytes):
            raise TypeError(f"tags = {self.tags!a:.100}; allowed: a list of texts, such as ['holiday']")
        payload: Any = {} if self.payload is None else self.payload
        if type(payload) is not dict and isinstance(payload, Mapping):
            payload = dict(payload)
        body: Json = {"task_type": self.task_type, "payload": payload}
        for name in ("priority", "max_retries", "timeout_seconds", "delay_seconds", "due_at"):
            value = getattr(self, name)
            if value is not None:
                body[name] = value.isoformat() if isinstance(value, datetime) else value
        if self.tags:
            body["tags"] = list(self.tags)
        return body


@dataclass(frozen=True, slots=True)
class Submitted:
    """The API's receipt: the task is durable. `links["sse"]` contains a ticket that lets a browser watch it."""

    task_id: str
    status: Status
    links: Mapping[str, str]
    json: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, json: Json) -> "Submitted":
        return cls(json["task_id"], Status(json["status"]), json["links"], json)


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `attempt` is the number of the current or last attempt, 0 before the first."""

    task_id: str
    task_type: str
    status: Status
    priority: int
    attempt: int
    max_retries: int
    payload: Any
    result: Any
    error: Mapping[str, Any] | None
    tags: tuple[str, ...]
    progress: Mapping[str, Any] | None
    retry_of: str | None
    created_at: datetime
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    request_id: str | None
    json: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, json: Json) -> "Task":
        values = {
            name: json[name] for name in ("task_id", "task_type", "priority", "attempt", "max_retries", "payload")
        }
        values |= {name: json.get(name) for name in ("result", "error", "progress", "retry_of", "request_id")}
        values |= {name: _time(json.get(name)) for name in ("created_at", "due_at", "started_at", "finished_at")}
        return cls(status=Status(json["status"]), tags=tuple(json.get("tags") or ()), json=json, **values)

    @property
    def ended(self) -> bool:
        """Whether the task has its final outcome."""
        return self.status in OUTCOMES


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing. `after` requests the next page; the last page has None. Any page may be short or empty.

    `searched_to`: the pages so far have all matching tasks that were submitted later.
    """

    tasks: tuple[Task, ...]
    after: str | None
    searched_to: datetime | None = None

    @classmethod
    def of(cls, json: Json) -> "Page":
        # an older API does not send searched_to
        return cls(tuple(map(Task.of, json["tasks"])), json["next"], _time(json.get("searched_to")))


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of a task's log. `event` is a status, `progress`, or `log` for a line from the processor."""

    log_id: int
    at: datetime
    event: str
    level: str
    attempt: int | None
    message: str | None
    data: Any
    json: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, json: Json) -> "LogRow":
        at = datetime.fromisoformat(json["at"])
        return cls(
            json["id"],
            at,
            json["event"],
            json["level"],
            json.get("attempt"),
            json.get("message"),
            json.get("data"),
            json,
        )


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An upload. Payloads name it by its `uri`."""

    uri: str
    size_bytes: int
    sha256: str
    media_type: str

    @classmethod
    def of(cls, json: Json) -> "StoredFile":
        return cls(json["uri"], json["size_bytes"], json["sha256"], json["media_type"])


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream. `name` is status or progress; the last event has the outcome, with the task as data."""

    name: str
    task_id: str
    data: Json
    event_id: str = field(repr=False)
    """Pass it as `last_event_id` to continue another stream after this event."""

    @property
    def task(self) -> Task | None:
        """The task, if this is its last event."""
        return Task.of(self.data) if self.name in OUTCOMES else None
