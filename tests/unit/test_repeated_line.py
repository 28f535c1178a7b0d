"""Messages of strangers fill no log."""

import itertools
import logging
import uuid
from typing import Any

import pytest
from pika.spec import Basic

from dtqs.broker.api_link import ApiLink
from dtqs.broker.consumer import Consumer
from dtqs.config import RabbitmqSection
from dtqs.repeated_line import RepeatedLines
from dtqs.worker.detour import Detour


def test_a_flood_has_ten_lines_and_then_one_a_minute_with_the_count(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    lines = RepeatedLines(logging.getLogger("dtqs.test"), lambda: now)
    for number in range(6000):  # ten minutes of ten a second
        lines.tell(logging.ERROR, "dropped", size_bytes=number)
        now += 0.1
    assert 19 <= len(caplog.records) <= 20
    last = caplog.records[-1].__dict__
    assert (last["levelname"], last["message"]) == ("ERROR", "dropped")
    assert 599 <= last["times"] <= 601
    assert "times" not in caplog.records[0].__dict__


def test_each_kind_has_its_lines_and_invented_kinds_share_theirs(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    lines = RepeatedLines(logging.getLogger("dtqs.test"), lambda: now)
    for number in range(10_000):
        lines.tell(logging.WARNING, "unknown", kind=str(number))
    assert len(caplog.records) == 110
    now += 61.0
    lines.tell(logging.WARNING, "unknown", kind="another")
    assert len(caplog.records) == 111


def test_unknown_types_in_hints_of_strangers_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    detour = Detour((), lambda task_type: False)
    for number in range(1000):
        detour.pause(f"type{number}", [str(uuid.uuid4())])
        detour.pause("type", [str(uuid.uuid4())])
    assert len(caplog.records) <= 120


class Channel:
    """Counts the messages that a consumer drops."""

    def __init__(self) -> None:
        self.dropped = 0

    def basic_nack(self, tag: int, requeue: bool) -> None:
        self.dropped += not requeue


def test_dead_letters_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    channel: Any = Channel()
    unused: Any = None
    consumer = Consumer("task_queue", itertools.count(), lambda delivery: None, lambda: None)
    for number in range(1000):
        consumer._delivered(channel, Basic.Deliver("", number), unused, b"junk")
    assert channel.dropped == 1000
    assert [record.message for record in caplog.records] == ["dead letter dropped"] * 10


def test_foreign_messages_of_the_events_exchange_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    unused: Any = None
    link = ApiLink(RabbitmqSection(), "api", {"a task"}, lambda events: None)
    for _ in range(1000):
        link._on_message(unused, unused, unused, b"junk")
    assert [record.message for record in caplog.records] == ["dead letter dropped"] * 10
