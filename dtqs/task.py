"""A task: its states, its limits, and the values that submit, claim and finish exchange."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PRIORITY_MIN, PRIORITY_MAX, PRIORITY_DEFAULT = 0, 9, 5
MAX_RETRIES_LIMIT = 1000
TAGS_LIMIT, TAG_LENGTH_LIMIT = 20, 100
DELAY_SECONDS_LIMIT = 366 * 86400.0
TIMEOUT_SECONDS_LIMIT = 7 * 86400.0


class Status(enum.StrEnum):
    """The status of a task. The view `task_status` computes it; no column stores it."""

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
    """How to settle a task if its outside effect began and it is unknown whether the effect happened."""

    RETRY = "retry"
    FAIL = "fail"


LIGHT_EFFECT = (
    "a light task may not have an effect; its processor must not declare it light (a retry runs as a heavy one)"
)
"""The error of `effect_begins`. An earlier version of the processor may have declared the task light."""


@dataclass(slots=True)
class NewTask:
    """A validated task before it is stored.

    `payload` is JSON text, `due_at` is RFC 3339 text, and `delay_seconds` counts from the commit.
    """

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
    """Whether it counts against `max_pending` of its API key."""
    origin: str | None = None
    """The request that submits it (origin.py). Set last, so this class is not frozen."""


@dataclass(slots=True)
class Claimed:
    """A claimed task, as its attempt needs it. Not frozen: that would cost 0.5 µs of the 12 µs of a tiny task."""

    task_id: str
    task_type: str
    payload: str
    attempt: int
    max_retries: int
    timeout_seconds: float | None
    light: bool
    waited_ms: int = 0
    """Milliseconds from the time when it was due to its claim."""
    origin: str | None = None
    is_new: bool = False
    """Nobody has claimed it before, so a light task has no log row yet."""


@dataclass(frozen=True, slots=True)
class Due:
    """A task whose hint is due. `publish_at` is the exact text of its backlog row, as `far_out` needs it."""

    task_id: str
    task_type: str
    light: bool
    priority: int
    publish_at: str


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that an attempt wrote under a new id. The finish inserts its row."""

    file_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task for readers: a row of `task_status`. Times are RFC 3339 text in UTC."""

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
    request_id: str | None = None


def task_record(columns: Sequence[Any]) -> TaskRecord:
    """Return a record from the columns of `record.part.sql`."""
    values: tuple[Any, ...] = (*columns[:2], Status(columns[2]), *columns[3:9], tuple(columns[9]), *columns[10:])
    return TaskRecord(*values)
