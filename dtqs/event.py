"""Encode and decode the messages in RabbitMQ; pure. A message that does not decode is a dead letter.

Anybody who may publish to RabbitMQ can forge a message, so a message only makes its reader look into PostgreSQL:
a hint names tasks that may be due, an event tasks that changed (a whole batch in one message), a cancel cancelled ones.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import orjson

from dtqs.errors import DtqsError
from dtqs.uuid7 import is_uuid

HINT_LIMIT = 50
"""Light tasks that one hint names at most."""

_HINT_BYTES, _CONTROL_BYTES = 4096, 128 << 10
"""DTQS publishes no longer messages. A longer one is refused before it costs time."""

LEVELS = ("debug", "info", "warning", "error")
"""Levels of rows in the task log, in ascending order."""

LogRef = tuple[int | None, str, str]
"""(log id, task id, event): a log row as an event message carries it. No row has the id None."""


class DeadLetter(DtqsError):
    """A message that DTQS did not publish, or that an unknown version published."""


@dataclass(slots=True)
class Hint:
    """The ids of due tasks of one type. A heavy task has a hint of its own."""

    task_type: str
    light: bool
    task_ids: list[str]


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One change of one task. `log_id` is missing if it has no log row, as the claim of a light task."""

    task_id: str
    event: str
    log_id: int | None = None


def encode_hint(task_type: str, light: bool, task_ids: Sequence[str]) -> bytes:
    return orjson.dumps({"task_type": task_type, "light": light, "ids": task_ids})


def decode_hint(body: bytes) -> Hint:
    """Decode a hint. Raises DeadLetter."""
    if len(body) > _HINT_BYTES:
        raise DeadLetter(f"not a hint: longer than {_HINT_BYTES} bytes")
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
    """Return the events of the wanted tasks. An API process receives all events and watches few. Raises DeadLetter."""
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
    """Encode a message of the exchange `task_control`."""
    return orjson.dumps({"cancel": task_ids})


def decode_cancel(body: bytes) -> list[str]:
    """Decode a message of the exchange `task_control`. Raises DeadLetter."""
    if len(body) > _CONTROL_BYTES:
        raise DeadLetter(f"not a control message: longer than {_CONTROL_BYTES} bytes")
    try:
        ids = orjson.loads(body)["cancel"]
        if not all(type(i) is str for i in ids):
            raise ValueError
    except (ValueError, KeyError, TypeError) as error:
        raise DeadLetter("not a control message") from error
    return list(ids)
