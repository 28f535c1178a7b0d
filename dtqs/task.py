"""What a task is: its words, its limits, and the values that travel between submit, claim and finish."""

import enum
from dataclasses import dataclass, field
from typing import Any

PRIORITY_MIN, PRIORITY_MAX, PRIORITY_DEFAULT = 0, 9, 5
MAX_RETRIES_LIMIT = 1000
TAGS_LIMIT, TAG_LENGTH_LIMIT = 20, 100
DELAY_SECONDS_LIMIT = 366 * 86400.0
TIMEOUT_SECONDS_LIMIT = 7 * 86400.0


class Status(enum.StrEnum):
    """Where a task is. It is read from the view `task_status` and stored nowhere."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_outcome(self) -> bool:
        return self in OUTCOMES


OUTCOMES = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Effect(enum.StrEnum):
    """What to do with a task whose outside effect began and of which nobody knows how it went."""

    RETRY = "retry"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class NewTask:
    """A validated task that waits to be stored. `payload` is JSON text; `delay_seconds` counts from the commit, `due_at` is RFC 3339 text."""

    task_id: str
    task_type: str
    light: bool
    payload: str
    priority: int = PRIORITY_DEFAULT
    max_retries: int = 5
    timeout_seconds: float | None = None
    delay_seconds: float = 0.0
    due_at: str | None = None
    tags: tuple[str, ...] = ()
    submitted_by: str | None = None
    retry_of: str | None = None
    counted: bool = False
    """Its API key has `max_pending`."""


@dataclass(slots=True)
class Claimed:
    """One task that a claim took: what its attempt needs. Not frozen: freezing costs 0.5 µs of a tiny task's 12."""

    task_id: str
    task_type: str
    payload: str
    attempt: int
    max_retries: int
    timeout_seconds: float | None
    light: bool


@dataclass(frozen=True, slots=True)
class Due:
    """A task whose hint is to be published; `publish_at` is the exact text of its backlog row's value, which far_out asks for."""

    task_id: str
    task_type: str
    light: bool
    priority: int
    publish_at: str


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that an attempt wrote under a new id; its row is inserted by the finish."""

    file_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task as a reader sees it: a row of `task_status`. Times are RFC 3339 text in UTC."""

    task_id: str
    task_type: str
    status: Status
    priority: int
    attempt: int
    max_retries: int
    payload: Any
    result: Any
    error: Any
    tags: tuple[str, ...]
    progress: Any
    retry_of: str | None
    created_at: str
    due_at: str | None
    started_at: str | None
    finished_at: str | None
    submitted_by: str | None = field(default=None, repr=False)
