"""Encode and decode the messages in RabbitMQ. A hint names due tasks, an event changed ones, a cancel cancelled ones.

Anybody who may publish to RabbitMQ can forge a message, so a message only makes its reader look into PostgreSQL.
Only outcomes with a signature (event_seal.py) are taken from an event.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, fields, replace

import orjson

from dtqs.errors import DtqsError
from dtqs.json_value import loads
from dtqs.task import TaskRecord, task_record
from dtqs.uuid7 import is_uuid

HINT_LIMIT = 50
"""Light tasks that one hint names at most."""

_HINT_BYTES, _CONTROL_BYTES, _EVENTS_BYTES = 4096, 128 << 10, 256 << 10
"""DTQS publishes no longer messages. A longer one is refused before it costs time."""

LEVELS = ("debug", "info", "warning", "error")
"""Levels of rows in the task log, in ascending order."""

LogRef = tuple[int | None, str, str]
"""(log id, task id, event): a log row as an event message carries it. No row has the id None."""

SealedRow = tuple[str, str, str]
"""(signature, "", outcomes): the last row of a message that carries outcomes. Readers of older versions skip it."""

_SEALED = ""
_COLUMNS = ("id", *(field.name for field in fields(TaskRecord)[1:]))


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
    """One change of one task. `log_id` is missing if it has no log row, as the claim of a light task.

    With an `outcome`, the event is the end of the task, and its log has no other row.
    """

    task_id: str
    event: str
    log_id: int | None = None
    outcome: TaskRecord | None = None


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


def sealed_row(signature: str, outcomes: str) -> SealedRow:
    return signature, _SEALED, outcomes


def encode_events(events: Sequence[LogRef | SealedRow]) -> bytes:
    return orjson.dumps(events)


def decode_events(
    body: bytes, wanted: Container[str], is_genuine: Callable[[str, str], bool] = lambda signature, outcomes: False
) -> list[TaskEvent]:
    """Return the events of the wanted tasks. An API process receives all events and watches few. Raises DeadLetter.

    `is_genuine` judges the signature of outcomes.
    """
    if len(body) > _EVENTS_BYTES:
        raise DeadLetter(f"not an event message: longer than {_EVENTS_BYTES} bytes")
    try:
        rows = orjson.loads(body)
        events = [TaskEvent(task_id, event, log_id) for log_id, task_id, event in rows if task_id in wanted]
        signature, mark, text = rows[-1] if events else (None, None, None)
    except (ValueError, TypeError, KeyError) as error:
        raise DeadLetter("not an event message") from error
    if not all(type(event.event) is str and (event.log_id is None or type(event.log_id) is int) for event in events):
        raise DeadLetter("not an event message")
    if mark != _SEALED or type(signature) is not str or type(text) is not str or not is_genuine(signature, text):
        return events
    outcomes = _outcomes(text)
    return [replace(event, outcome=outcomes.pop(event.task_id, None)) for event in events]


def _outcomes(text: str) -> dict[str, TaskRecord]:
    """Return the records of a genuine text, by task. A version with other fields may have written it."""
    try:
        records = [tuple(each.values()) for each in loads(text) if tuple(each) == _COLUMNS]
        return {columns[0]: task_record(columns) for columns in records}
    except (ValueError, TypeError, AttributeError):
        return {}


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
