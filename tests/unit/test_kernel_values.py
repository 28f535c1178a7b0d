"""Ids, events and hints, deadlines, and the scoreboard."""

import os
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtqs.deadline import Deadline, Stop
from dtqs.event import (
    DeadLetter,
    TaskEvent,
    decode_cancel,
    decode_events,
    decode_hint,
    encode_cancel,
    encode_events,
    encode_hint,
)
from dtqs.scoreboard import ChildState, Scoreboard
from dtqs.uuid7 import first_uuid7, is_uuid, made_at, uuid7

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


# --- ids


def test_an_id_is_a_uuid_of_version_7_with_the_time_of_its_creation() -> None:
    before, made, after = time.time_ns() // 1_000_000, uuid7(), time.time_ns() // 1_000_000
    assert is_uuid(made)
    assert (made[14], made[19] in "89ab") == ("7", True)
    assert before <= int(made[:8] + made[9:13], 16) <= after


def test_an_id_of_version_7_tells_its_time_and_another_gives_0() -> None:
    assert abs(made_at(uuid7()) - time.time()) < 5
    assert made_at(first_uuid7(1_700_000_000.25)) == 1_700_000_000.25
    assert made_at(str(uuid.uuid4())) == 0


def test_ids_differ() -> None:
    assert len({uuid7() for _ in range(10_000)}) == 10_000


def test_the_first_id_of_a_time_separates_earlier_ids_from_later_ones() -> None:
    now = time.time()
    assert first_uuid7(now - 1) < uuid7() < first_uuid7(now + 60)
    assert is_uuid(first_uuid7(now))


def test_the_first_id_of_a_time_before_1970_is_that_of_1970() -> None:
    assert first_uuid7(-36500 * 86400.0) == first_uuid7(0.0)
    assert is_uuid(first_uuid7(0.0))


ID = "0192f3ac-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    "text", ["", "x", "0192F3AC-0000-7000-8000-000000000000", "0192f3ac-0000-7000-8000-00000000000", f"{ID}\n"]
)
def test_text_that_is_no_canonical_id_is_refused(text: str) -> None:
    assert not is_uuid(text)


# --- events and hints


def test_hints_events_and_cancels_are_decoded_unchanged() -> None:
    ids = [uuid7(), uuid7()]
    hint = decode_hint(encode_hint("echo", True, ids))
    assert (hint.task_type, hint.light, hint.task_ids) == ("echo", True, ids)
    assert decode_events(
        encode_events([(7, ids[0], "completed"), (8, uuid7(), "completed"), (None, ids[1], "in_progress")]), ids
    ) == [
        TaskEvent(ids[0], "completed", 7),
        TaskEvent(ids[1], "in_progress", None),
    ]
    assert decode_cancel(encode_cancel(ids)) == ids


@pytest.mark.parametrize(
    "value",
    [
        {"task_type": "echo", "light": True, "ids": []},
        {"task_type": "echo", "light": True, "ids": ["x"]},
        {"task_type": "echo", "light": True, "ids": [7]},
        {"task_type": "echo", "light": 1, "ids": [uuid7()]},
        {"task_type": 7, "light": True, "ids": [uuid7()]},
        {"light": True, "ids": [uuid7()]},
        [],
        None,
    ],
)
def test_a_message_that_is_no_hint_is_a_dead_letter(value: object) -> None:
    with pytest.raises(DeadLetter):
        decode_hint(orjson.dumps(value))


@pytest.mark.parametrize("decode", [decode_hint, partial(decode_events, wanted={}), decode_cancel])
@given(value=JSON, noise=st.binary(max_size=20))
def test_no_message_makes_a_decoder_fail(decode: Callable[[bytes], object], value: object, noise: bytes) -> None:
    for body in (noise, orjson.dumps(value)):
        try:
            decode(body)
        except DeadLetter:
            continue


# --- deadlines


def test_a_deadline_passes_and_no_time_remains() -> None:
    deadline = Deadline(60.0)
    assert not deadline.passed
    assert 59 < deadline.remaining <= 60
    over = Deadline(-1.0)
    assert (over.passed, over.remaining) == (True, 0.0)


def test_a_stop_wakes_its_waiters_and_is_never_reset() -> None:
    stop, told = Stop(), list[bool]()
    assert not stop.requested
    assert not stop.wait(0.0)
    waiter = threading.Thread(target=lambda: told.append(stop.wait(30.0)))
    waiter.start()
    stop.set()
    stop.set()
    waiter.join(10)
    assert told == [True]
    assert stop.requested
    assert stop.wait(0.0)


# --- the scoreboard


def test_the_parent_reads_the_values_that_the_child_wrote_in_another_process() -> None:
    board, worker, task = Scoreboard(2), uuid7(), uuid7()
    if (child := os.fork()) == 0:
        slot = board.slot(1)
        slot.begin()
        slot.worker(worker)
        slot.state(ChildState.READY)
        slot.run(task)
        slot.kill_at(12.5)
        os._exit(0)
    os.waitpid(child, 0)
    record = board.read(1)
    assert (record.pid, record.worker_id, record.task_id, record.state) == (child, worker, task, ChildState.READY)
    assert (record.kill_at, record.deaths_settled) == (12.5, False)
    assert 0 < record.beat <= time.monotonic()
    assert board.read(0).pid == 0


def test_a_new_child_in_a_slot_clears_the_record_of_the_last() -> None:
    board = Scoreboard(2)
    slot, neighbour = board.slot(0), board.slot(1)
    for one in (slot, neighbour):
        one.begin()
        one.worker(uuid7())
        one.run(uuid7())
        one.settled_deaths()
        one.worked()
        one.state(ChildState.DRAINING)
        one.kill_at(1.0)
    before = board.read(1)
    slot.begin()
    record = board.read(0)
    assert (record.worker_id, record.task_id, record.deaths_settled, record.kill_at) == (None, None, False, 0.0)
    assert (record.worked, before.worked) == (False, True)
    assert (record.pid, record.state) == (os.getpid(), ChildState.STARTING)
    assert board.read(1) == before


def test_an_idle_child_has_no_task() -> None:
    board = Scoreboard(1)
    slot = board.slot(0)
    slot.begin()
    slot.run(uuid7())
    slot.rest()
    assert board.read(0).task_id is None


@pytest.mark.parametrize("count", [1, 2])
def test_a_claim_is_marked_with_its_task_or_as_one_of_several(count: int) -> None:
    board = Scoreboard(1)
    slot, task_ids = board.slot(0), [uuid7() for _ in range(count)]
    slot.begin()
    slot.claim(task_ids)
    record = board.read(0)
    assert (record.task_id, record.claims) == ((task_ids[0], False) if count == 1 else (None, True))
    slot.run(task_ids[0])
    assert (board.read(0).task_id, board.read(0).claims) == (task_ids[0], False)
    slot.claim(task_ids)
    slot.rest()
    assert (board.read(0).task_id, board.read(0).claims) == (None, False)
