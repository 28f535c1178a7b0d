"""The envelope of a submitted task: its model, and its problems by field. OpenAPI uses the model too.

The catalog validates the payload.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dtqs.errors import Invalid, Problem
from dtqs.processors.faults import PROBLEMS_LIMIT, payload_problems
from dtqs.task import (
    DELAY_SECONDS_LIMIT,
    MAX_RETRIES_LIMIT,
    PRIORITY_DEFAULT,
    PRIORITY_MAX,
    PRIORITY_MIN,
    TAG_LENGTH_LIMIT,
    TAGS_LIMIT,
    TIMEOUT_SECONDS_LIMIT,
)

ARRAY_LIMIT = 1000
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_TIME_ALLOWED = "allowed is an RFC 3339 time with its offset: 2030-01-31T12:00:00Z"


def _due_at(text: str) -> str:
    """Return the time in UTC, as PostgreSQL reads it."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(
            f"{text} lacks its offset: write {text}Z or {text}+01:00" if _lacks_offset(text) else _TIME_ALLOWED
        )
    try:
        at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.upper())).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"there is no such time; {_TIME_ALLOWED}") from None
    if at > datetime.now(UTC) + timedelta(seconds=DELAY_SECONDS_LIMIT):
        raise ValueError(f"allowed are times at most {DELAY_SECONDS_LIMIT / 86400:g} days ahead")
    return at.isoformat()


def _lacks_offset(text: str) -> bool:
    return len(text) < 40 and _RFC3339.fullmatch(f"{text}Z") is not None


class TaskBody(BaseModel):
    """One task to be accepted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    task_type: str = Field(min_length=1, max_length=100, description="the kind of work")
    payload: Any = Field(description="an object that fits the schema of the task type")
    priority: int = Field(PRIORITY_DEFAULT, ge=PRIORITY_MIN, le=PRIORITY_MAX, description="9 first, 0 last")
    max_retries: int | None = Field(
        None, ge=0, le=MAX_RETRIES_LIMIT, description="retries after the first attempt; left out: the type's own, or 5"
    )
    timeout_seconds: float | None = Field(
        None, gt=0, le=TIMEOUT_SECONDS_LIMIT, description="time limit of an attempt; left out: the type's own"
    )
    delay_seconds: float | None = Field(
        None, ge=0, le=DELAY_SECONDS_LIMIT, description="not before this many seconds from now"
    )
    due_at: Annotated[str, AfterValidator(_due_at)] | None = Field(
        None,
        description="not before this time (RFC 3339); excludes delay_seconds",
        json_schema_extra={"format": "date-time"},
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=TAG_LENGTH_LIMIT)]] | None = Field(
        default=None, max_length=TAGS_LIMIT, description="words that find the task in listings"
    )


_MANY: TypeAdapter[list[TaskBody]] = TypeAdapter(list[TaskBody])


def parse(value: Any) -> list[TaskBody]:
    """Validate a submit, one task or an array. Raises Invalid with all problems outside payloads."""
    many = isinstance(value, list)
    if many and not 0 < len(value) <= ARRAY_LIMIT:
        raise Invalid([Problem("body", f"an array of 1 to {ARRAY_LIMIT} tasks is allowed, not of {len(value)}")])
    values = value if many else [value]
    try:
        bodies = _MANY.validate_python(values)
    except ValidationError:
        raise Invalid(_first_problems(values, many)) from None
    if any(body.due_at is not None and body.delay_seconds is not None for body in bodies):
        raise Invalid(_first_problems(values, many))
    return bodies


def field_name(index: int | None, name: str) -> str:
    """Return the full name of a field: `priority`, or `[3].priority` in an array."""
    return name if index is None else f"[{index}].{name}" if name else f"[{index}]"


def _first_problems(values: Sequence[Any], many: bool) -> list[Problem]:
    return list(islice(_problems(values, many), PROBLEMS_LIMIT + 1))


def _problems(values: Sequence[Any], many: bool) -> Iterator[Problem]:
    """Yield the problems, task by task: errors of the whole array would lack the allowed values."""
    for index, value in enumerate(values):
        where = index if many else None
        try:
            TaskBody.model_validate(value)
        except ValidationError as error:
            for problem in payload_problems(error, TaskBody, ""):
                yield Problem(field_name(where, problem.field.lstrip(".")) or "body", problem.message)
        if isinstance(value, dict) and value.get("due_at") is not None and value.get("delay_seconds") is not None:
            yield Problem(field_name(where, "due_at"), "excludes delay_seconds: one of the two is allowed")


def valid_parts(value: Any) -> list[tuple[int | None, str, Any]]:
    """Return index, task type and payload of the tasks whose payload can be checked although other fields are wrong.

    An array that is too long has none. A body of 4 MB may hold 70,000 tasks, and to check them takes 20 s.
    """
    if isinstance(value, list) and len(value) > ARRAY_LIMIT:
        return []
    values = enumerate(value) if isinstance(value, list) else [(None, value)]
    return [
        (index, one["task_type"], one["payload"])
        for index, one in values
        if isinstance(one, dict) and isinstance(one.get("task_type"), str) and "payload" in one
    ]
