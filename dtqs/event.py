"""Events and hints as they travel through RabbitMQ: encode and decode; pure. What does not decode is a dead letter.

Anybody who may publish there can forge each of them, so none is believed. A hint says "claim these if they are due", an event "look again at this task",
a cancel "look whether this task is to be cancelled": PostgreSQL says what is so. One message carries the events of a whole batch.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import orjson

from dtqs.errors import DtqsError
from dtqs.uuid7 import is_uuid

HINT_LIMIT = 50
"""Most light tasks that one hint names."""

_HINT_BYTES, _CONTROL_BYTES = 4096, 128 << 10
"""Longer messages are none of ours; a longer one would only cost time."""

LEVELS = ("debug", "info", "warning", "error")
"""Of rows of the log, each above those before it."""

LogRef = tuple[int | None, str, str]
"""(log id, task id, event): a row of the log as an event message carries it; no id where no row was written."""


class DeadLetter(DtqsError):
    """A message that is not ours, or from a version that we do not know."""


@dataclass(slots=True)
class Hint:
    """The ids of due tasks of one type; a heavy task is always alone."""

    task_type: str
    light: bool
    task_ids: list[str]


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One change of one task; `log_id` is None where no log row was written (the claim of a light task)."""

    task_id: str
    event: str
    log_id: int | None = None


def encode_hint(task_type: str, light: bool, task_ids: Sequence[str]) -> bytes:
    return orjson.dumps({"task_type": task_type, "light": light, "ids": task_ids})


def decode_hint(body: bytes) -> Hint:
    """Raises DeadLetter."""
    if len(body) > _HINT_BYTES:
        raise DeadLetter("not a hint: too long")
    try:
        value = orjson.loads(body)
        hint = Hint(value["task_type"], value["light"], value["ids"])
        ids_sound = (
            type(hint.task_ids) is list and 0 < len(hint.task_ids) <= HINT_LIMIT and all(map(is_uuid, hint.task_ids))
        )
        sound = type(hint.task_type) is str and type(hint.light) is bool and ids_sound
    except (ValueError, KeyError, TypeError) as error:
        raise DeadLetter("not a hint") from error
    if not sound:
        raise DeadLetter("not a hint")
    return hint


def encode_events(events: Sequence[LogRef]) -> bytes:
    return orjson.dumps(events)


def decode_events(body: bytes, wanted: Container[str]) -> list[TaskEvent]:
    """Return the events of the tasks that are wanted: every API process hears of all tasks, and watches few. Raises DeadLetter."""
    try:
        events = [
            TaskEvent(task_id, event, log_id) for log_id, task_id, event in orjson.loads(body) if task_id in wanted
        ]
    except (ValueError, TypeError) as error:
        raise DeadLetter("not an event message") from error
    if not all(type(event.event) is str and (event.log_id is None or type(event.log_id) is int) for event in events):
        raise DeadLetter("not an event message")
    return events


def encode_cancel(task_ids: Sequence[str]) -> bytes:
    """A message of the exchange `task_control`."""
    return orjson.dumps({"cancel": task_ids})


def decode_cancel(body: bytes) -> list[str]:
    """Raises DeadLetter."""
    if len(body) > _CONTROL_BYTES:
        raise DeadLetter("not a control message: too long")
    try:
        ids = orjson.loads(body)["cancel"]
        if not all(type(i) is str for i in ids):
            raise ValueError
    except (ValueError, KeyError, TypeError) as error:
        raise DeadLetter("not a control message") from error
    return list(ids)
