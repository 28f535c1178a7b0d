"""Messages of the broker: a foreign, overlong or malformed message is a dead letter. A forged outcome is no outcome."""

import contextlib

import orjson
import pytest

from dtqs.event import (
    HINT_LIMIT,
    DeadLetter,
    TaskEvent,
    decode_cancel,
    decode_events,
    decode_hint,
    encode_events,
    sealed_row,
)
from dtqs.event_seal import KEY_BYTES, EventSeal, key_of
from dtqs.uuid7 import uuid7

TASK = uuid7()
COLUMNS = {
    "id": TASK, "task_type": "echo", "status": "completed", "priority": 5, "attempt": 1, "max_retries": 5,
    "payload": {}, "result": {"a": 1}, "error": None, "tags": ["x"], "progress": None, "retry_of": None,
    "created_at": "c", "due_at": "d", "started_at": "s", "finished_at": "f", "submitted_by": None, "request_id": "r",
}  # fmt: skip
ROW = (1, TASK, "completed")


def seal(key: bytes = b"k" * KEY_BYTES) -> EventSeal:
    one = EventSeal()
    one.learn(key)
    return one


def told(**changed: object) -> str:
    return orjson.dumps(COLUMNS | changed).decode()


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


def test_an_event_carries_outcomes_with_a_signature() -> None:
    reader, other = seal(), uuid7()
    body = encode_events([ROW, (2, other, "completed"), seal().row([told(), told(id=other, attempt=2)])])
    first, second = decode_events(body, {TASK, other}, reader.is_genuine)
    assert (first.task_id, first.event, first.log_id) == (TASK, "completed", 1)
    assert first.outcome is not None
    assert (first.outcome.result, first.outcome.tags, first.outcome.request_id) == ({"a": 1}, ("x",), "r")
    assert second.outcome is not None
    assert (second.outcome.task_id, second.outcome.attempt) == (other, 2)
    assert not reader.needs_key


@pytest.mark.parametrize(
    "forged",
    [
        seal(b"another key".ljust(KEY_BYTES)).row([told()]),
        sealed_row(seal().row([told()])[0], f"[{told(result=2)}]"),
        sealed_row("", f"[{told()}]"),
        sealed_row("\N{LATIN SMALL LETTER E WITH ACUTE}" * 32, f"[{told()}]"),
    ],
    ids=["another key", "another text", "none", "no letters"],
)
def test_a_forged_outcome_is_not_taken(forged: tuple[str, str, str]) -> None:
    reader = seal()
    assert decode_events(encode_events([ROW, forged]), {TASK}, reader.is_genuine) == [TaskEvent(TASK, "completed", 1)]
    assert reader.needs_key, "the key may be another one by now"
    assert decode_events(encode_events([ROW, seal().row([told()])]), {TASK}, EventSeal().is_genuine)[0].outcome is None


@pytest.mark.parametrize(
    "value", [{"a": 1}, [{"a": 0, "b": 0, "c": 0}], [{TASK: 1}], [[1, TASK]], ["abc"], [""], 7, ""]
)
def test_no_message_of_any_form_does_more_than_be_a_dead_letter(value: object) -> None:
    for body in (value, [ROW, *value] if isinstance(value, list) else {TASK: ROW, "x": value}):
        with contextlib.suppress(DeadLetter):
            events = decode_events(orjson.dumps(body), {TASK}, seal().is_genuine)
            assert all(event.outcome is None for event in events)


def test_an_object_whose_keys_look_like_rows_is_a_dead_letter() -> None:
    with pytest.raises(DeadLetter):
        decode_events(orjson.dumps({"abc": 1}), {"b"}, seal().is_genuine)


def test_a_message_carries_each_outcome_once() -> None:
    body = encode_events([ROW, ROW, seal().row([told()])])
    assert [event.outcome is not None for event in decode_events(body, {TASK}, seal().is_genuine)] == [True, False]


def test_an_overlong_event_message_is_a_dead_letter() -> None:
    with pytest.raises(DeadLetter):
        decode_events(encode_events([ROW] * 10_000), {TASK})
    assert len(decode_events(encode_events([(10**12, TASK, "in_progress")] * 1000), {TASK})) == 1000


@pytest.mark.parametrize("row", [[1, "", "x"], ["s", "", 1], ["s", "", None], [None, "", "[]"]])
def test_a_sealed_row_of_a_wrong_form_carries_nothing(row: object) -> None:
    body = orjson.dumps([ROW, row])
    assert decode_events(body, {TASK}, lambda *_: pytest.fail("no text")) == [TaskEvent(TASK, "completed", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        told(more=1),
        '["x"]',
        "[[]]",
        "{",
        '{"a": 1}',
        told(status="odd"),
        told(tags=None),
        told().replace('"payload":{},"result":{"a":1}', '"result":{"a":1},"payload":{}'),
        told().replace('"error"', '"fault"'),
    ],
)
def test_outcomes_that_another_version_wrote_are_left_to_the_database(text: str) -> None:
    row = sealed_row(seal()._signature(f"[{text}]"), f"[{text}]")
    assert decode_events(encode_events([ROW, row]), {TASK}, seal().is_genuine) == [TaskEvent(TASK, "completed", 1)]


def test_outcomes_of_unwatched_tasks_are_not_looked_at() -> None:
    body = encode_events([ROW, seal().row([told()])])
    assert decode_events(body, {uuid7()}, lambda *_: pytest.fail("nobody watches")) == []


@pytest.mark.parametrize("text", [None, 7, "", "zz", "ab" * 31, "ab" * 65, {"a": 1}])
def test_a_damaged_key_is_no_key(text: object) -> None:
    one = EventSeal()
    one.learn(key_of(text))
    assert not one.has_key
    assert one.needs_key
    assert key_of("ab" * KEY_BYTES) == b"\xab" * KEY_BYTES


def test_readers_of_older_versions_see_no_task_in_a_sealed_row() -> None:
    """They take three columns from each row, and skip a row whose second one is no task that they watch."""
    _, (_, task_id, _) = orjson.loads(encode_events([ROW, seal().row([told()])]))
    assert task_id == ""
