"""The queue of spans: it never waits, and drops what has no room."""

import threading
import time
from collections.abc import Callable

import pytest

from dtqs.tally import Tally
from dtqs.tracing import span_queue
from dtqs.tracing.span_queue import ROOM, SpanQueue


def started(
    send: Callable[[list[int]], int],
    monkeypatch: pytest.MonkeyPatch,
    note: Callable[[str, float], None] = lambda *_: None,
) -> "SpanQueue[int]":
    monkeypatch.setattr(span_queue, "_EVERY_SECONDS", 0.01)
    made = SpanQueue(send, at_once=100, note=note)
    made.start()
    return made


def test_a_full_queue_drops_and_never_blocks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    asked, answers = threading.Event(), threading.Event()

    def stuck(items: list[int]) -> int:
        asked.set()
        answers.wait(30)
        return len(items)

    tally = Tally()
    made = started(stuck, monkeypatch, tally.set)
    made.put(0)
    assert asked.wait(10)
    began = time.thread_time()
    for number in range(2 * ROOM):
        made.put(number)
    assert time.thread_time() - began < 2, "it did not wait"
    assert made.dropped == ROOM + 1
    began = time.monotonic()
    made.stop(0.05)
    assert time.monotonic() - began < 5, "a stuck collector does not hold up the end"
    answers.set()
    made.stop(10)
    lines = [vars(record) for record in caplog.records]
    assert sum(line["spans"] for line in lines) == 2 * ROOM + 1, "all spans were lost: some there, some here"
    assert lines[-1]["without_room"] == ROOM + 1
    assert tally.values() == {"spans_lost|no_room": ROOM + 1, "spans_lost|not_taken": ROOM}


def test_the_rest_is_sent_at_the_end_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[int]] = []
    made = SpanQueue[int](lambda items: sent.append(items) or 0, at_once=100)  # type: ignore[func-returns-value]
    for number in range(250):
        made.put(number)
    made.start()
    made.stop(10)
    assert [len(items) for items in sent] == [100, 100, 50]
    assert [number for items in sent for number in items] == list(range(250))


def test_a_fault_of_the_library_loses_only_its_spans(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[int] = []

    def faulty(items: list[int]) -> int:
        if 0 in items:
            raise ValueError("a fault")
        sent.extend(items)
        return 0

    made = started(faulty, monkeypatch)
    made.put(0)
    while not caplog.records:
        time.sleep(0.001)
    made.put(1)
    made.stop(10)
    assert sent == [1]
    assert caplog.records[0].message == "spans could not be sent"
