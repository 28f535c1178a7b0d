"""/readyz's look at the queues, with the broker's answers as data."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from dtqs.broker.loop.connection import BrokerConnection, Loop
from dtqs.broker.queue_homes import QueueHomes

WORDS = "home node 'rabbit@b' of durable queue 'task_queue' in vhost '/' is down or inaccessible"
TIMEOUT = "failed to perform operation on queue 'task_queue' in vhost '/' due to timeout"
SILENCE = "task_queue gives no answer, so the node that holds it is down or hangs"
ANSWER = SimpleNamespace(method=SimpleNamespace(message_count=0, consumer_count=0))


class Broker:
    """A connection, its loop and its newest channel at once. It keeps the answers until a test gives them."""

    def __init__(self) -> None:
        self.openings, self.asked = 1, 0
        self.channel: object | None = self
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
    made = QueueHomes(cast(Loop, broker), cast(BrokerConnection, broker), ["task_queue"])
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
    for _ in range(3):
        broker.again()
        assert (homes.down, broker.asked) == (SILENCE, 1)
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
