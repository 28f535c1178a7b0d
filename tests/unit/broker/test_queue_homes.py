"""/readyz's look at the queues' home nodes, with the broker's answers as data."""

from collections.abc import Callable
from typing import Any, cast

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, ChannelClosedByClient

from dtqs.broker.loop.connection import BrokerConnection, Loop
from dtqs.broker.queue_homes import QueueHomes

WORDS = "home node 'rabbit@b' of durable queue 'task_queue' in vhost '/' is down or inaccessible"


class Broker:
    """A connection, its channel and its loop at once. It closes the channel with `reason`, or answers for None."""

    def __init__(self) -> None:
        self.reason: BaseException | None = None
        self.again: Callable[[], None] = lambda: None
        self._closed: Callable[[Any, BaseException], None] = lambda *_: None

    def later(self, _: float, call: Callable[[], None]) -> None:
        self.again = call

    def open_channel(self, opened: Callable[[Channel], None]) -> None:
        opened(cast(Channel, self))

    def add_on_close_callback(self, closed: Callable[[Any, BaseException], None]) -> None:
        self._closed = closed

    def close(self) -> None:
        self._closed(self, ChannelClosedByClient(200, "Normal shutdown"))

    def queue_declare(self, *_: object, **__: object) -> None:
        self._closed(self, self.reason) if self.reason else self.close()


def test_a_home_node_that_is_down_is_told_until_it_is_back() -> None:
    broker = Broker()
    homes = QueueHomes(cast(Loop, broker), cast(BrokerConnection, broker), ["task_queue"])
    told = []
    for reason in (ChannelClosedByBroker(404, f"NOT_FOUND - {WORDS}"), None, ChannelClosedByBroker(404, "no queue")):
        broker.reason = reason
        (homes.start if not told else broker.again)()
        told.append(homes.down)
    assert told == [WORDS, None, None]
