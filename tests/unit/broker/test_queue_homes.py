"""/readyz's look at the queues, with the broker's answers as data."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from dtqs.broker.loop.connection import BrokerConnection, Loop
from dtqs.broker.publisher import Publisher
from dtqs.broker.queue_homes import QueueHomes
from dtqs.broker.unkept import UnkeptHints

WORDS = "home node 'rabbit@b' of durable queue 'task_queue' in vhost '/' is down or inaccessible"
TIMEOUT = "failed to perform operation on queue 'task_queue' in vhost '/' due to timeout"
SILENCE = "task_queue gives no answer, so the node that holds it is down or hangs"
ANSWER = SimpleNamespace(method=SimpleNamespace(message_count=0, consumer_count=0))


class Broker:
    """A connection, its loop, its newest channel and its publisher at once. It answers when a test says so."""

    def __init__(self) -> None:
        self.openings, self.asked = 1, 0
        self.channel: object | None = self
        self.oldest: tuple[int, str] | None = None
        self.refused_at: dict[str, float] = {}
        self.again: Callable[[], None] = lambda: None
        self._closed: Callable[[Any, BaseException], None] = lambda *_: None
        self._answer: Callable[[Any], None] = lambda _: None

    def later(self, _: float, call: Callable[[], None]) -> None:
        self.again = call

    def open_channel(self, opened: Callable[[Channel], None]) -> None:
        opened(cast(Channel, self))

    def add_on_close_callback(self, closed: Callable[[Any, BaseException], None]) -> None:
        self._closed = closed

    def queue_declare(self, *_: object, callback: Callable[[Any], None], **__: object) -> None:
        self.asked, self._answer = self.asked + 1, callback

    def answer(self, reason: BaseException | None = None) -> None:
        """Close the channel with the reason, or answer the question."""
        self._closed(self, reason) if reason else self._answer(ANSWER)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def homes(broker: Broker) -> QueueHomes:
    hints = UnkeptHints(cast(Publisher, broker))
    made = QueueHomes(cast(Loop, broker), cast(BrokerConnection, broker), ["task_queue"], hints)
    made.start()
    return made


def test_a_queue_that_is_refused_is_told_until_it_answers(broker: Broker, homes: QueueHomes) -> None:
    told = []
    for text in (WORDS, TIMEOUT, None, "no queue 'task_queue' in vhost '/'"):
        broker.answer(ChannelClosedByBroker(404, f"NOT_FOUND - {text}") if text else None)
        told.append(homes.down)
        broker.again()
    assert told == [WORDS, TIMEOUT, None, None]


def test_a_queue_without_an_answer_is_told_until_it_answers_and_is_asked_once(
    broker: Broker, homes: QueueHomes
) -> None:
    assert homes.down is None
    told = list[tuple[str | None, int]]()
    for _ in range(3):
        broker.again()
        told.append((homes.down, broker.asked))
    assert told == [(SILENCE, 1)] * 3
    broker.answer()
    assert homes.down is None
    broker.again()
    assert broker.asked == 2


def test_a_lost_connection_ends_the_wait_for_an_answer(broker: Broker, homes: QueueHomes) -> None:
    broker.again()
    broker.channel = None
    broker.again()
    assert homes.down is None
    broker.answer(ConnectionClosedByBroker(320, "CONNECTION_FORCED"))
    broker.channel, broker.openings = broker, 2
    broker.again()
    assert (homes.down, broker.asked) == (None, 2)


def test_a_channel_that_was_never_opened_is_not_waited_for(broker: Broker, homes: QueueHomes) -> None:
    """The connection was lost and came back between two looks."""
    broker.openings = 2
    broker.again()
    assert (homes.down, broker.asked) == (None, 2)


def test_a_queue_that_keeps_no_hints_is_told_although_it_answers(broker: Broker, homes: QueueHomes) -> None:
    """RabbitMQ refuses hints for a quorum queue without most of its nodes, or leaves them without an answer."""

    def told(oldest: tuple[int, str] | None, refused_at: dict[str, float]) -> str | None:
        broker.oldest, broker.refused_at = oldest, refused_at
        broker.answer()
        broker.again()
        return homes.down

    words = "it keeps no hints for task_queue; a quorum queue needs most of its nodes"
    assert told((1, "task_queue"), {}) is None
    assert told((1, "task_queue"), {}) == words
    assert told((2, "task_queue"), {}) is None, "the older hint has its answer"
    assert told(None, {"task_queue": time.monotonic()}) == words
    assert told(None, {"task_queue": time.monotonic() - 61}) is None


def test_hints_that_were_refused_while_the_queue_was_down_are_forgotten(broker: Broker, homes: QueueHomes) -> None:
    broker.answer(ChannelClosedByBroker(404, f"NOT_FOUND - {WORDS}"))
    broker.refused_at = {"task_queue": time.monotonic()}
    broker.again()
    broker.answer()
    broker.again()
    assert homes.down is None
