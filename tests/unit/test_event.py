"""Messages of the broker: a foreign, overlong or malformed message is a dead letter."""

import orjson
import pytest

from dtqs.event import HINT_LIMIT, DeadLetter, TaskEvent, decode_cancel, decode_events, decode_hint
from dtqs.uuid7 import uuid7

TASK = uuid7()


@pytest.mark.parametrize(
    "value",
    [
        {"task_type": "echo", "light": True, "ids": [TASK] * (HINT_LIMIT + 1)},
        {"task_type": "echo", "light": True, "ids": []},
        {"task_type": "x" * 5000, "light": True, "ids": [TASK]},
        {"task_type": "echo", "light": 1, "ids": [TASK]},
        {"task_type": "echo", "light": True, "ids": TASK},
        {"task_type": "echo", "light": True, "ids": {TASK: 1}},
        [],
    ],
)
def test_a_message_that_is_no_hint_is_a_dead_letter(value: object) -> None:
    with pytest.raises(DeadLetter):
        decode_hint(orjson.dumps(value))


@pytest.mark.parametrize(
    "row",
    [
        ["1", TASK, "completed"],
        [1, TASK, ["completed"]],
        [1, TASK, {}],
        [1.5, TASK, "x"],
        [1, TASK],
        [True, TASK, None],
    ],
)
def test_a_forged_event_of_a_wrong_form_reaches_no_stream(row: object) -> None:
    with pytest.raises(DeadLetter):
        decode_events(orjson.dumps([row]), {TASK})


def test_events_of_unwatched_tasks_are_not_decoded() -> None:
    assert decode_events(orjson.dumps([[1, uuid7(), []], [2, TASK, "completed"]]), {TASK}) == [
        TaskEvent(TASK, "completed", 2)
    ]


def test_a_cancel_of_endless_length_is_a_dead_letter() -> None:
    with pytest.raises(DeadLetter):
        decode_cancel(orjson.dumps({"cancel": [TASK] * 10_000}))
