"""A connection to an unreachable broker: it retries, and warns once the outage has lasted."""

import logging
from collections.abc import Callable
from typing import Any, cast

import pytest
from pika.channel import Channel
from pika.connection import Connection, Parameters
from pika.exceptions import ChannelClosedByBroker

from dtqs.broker.loop import connection
from dtqs.broker.loop.connection import BrokerConnection, is_missing, refusal_words
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from tests.support.helpers import eventually, free_port


def test_a_broker_that_starts_a_little_later_is_no_warning_and_one_that_stays_away_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "_AWAY_SECONDS", 1.0)
    monkeypatch.setattr(connection, "_RETRY_MAX_SECONDS", 0.05)
    caplog.set_level(logging.DEBUG, "dtqs")
    section = RabbitmqSection.model_validate({"url": f"amqp://guest:guest@127.0.0.1:{free_port()}/"})
    loop = ThreadLoop("broker")
    line = BrokerConnection(loop, section, "test")

    def told(level: int) -> int:
        return sum(record.name == connection.__name__ and record.levelno == level for record in caplog.records)

    loop.start()
    loop.call(line.start)
    try:
        eventually(lambda: told(logging.DEBUG) >= 2)
        assert told(logging.WARNING) == 0
        eventually(lambda: told(logging.WARNING) == 1)
        before = told(logging.DEBUG)
        eventually(lambda: told(logging.DEBUG) > before + 1)
        assert told(logging.WARNING) == 1
    finally:
        loop.call(line.stop)
        loop.stop(Deadline(1))


@pytest.mark.parametrize(
    "words",
    [
        "home node 'rabbit@b' of durable queue 'task_queue' in vhost '/' is down or inaccessible",
        "failed to perform operation on queue 'task_queue' in vhost '/' due to timeout",
        "queue 'task_queue' in vhost '/' has crashed and failed to restart",
    ],
)
def test_a_queue_that_exists_and_does_not_serve_is_not_missing(words: str) -> None:
    """RabbitMQ 3 sends the first text, 4 the second after a minute. All have the code 404."""
    reason = ChannelClosedByBroker(404, f"NOT_FOUND - {words}")
    assert (refusal_words(reason), is_missing(reason)) == (words, False)


def test_a_queue_that_does_not_exist_is_missing() -> None:
    assert is_missing(ChannelClosedByBroker(404, "NOT_FOUND - no queue 'task_queue' in vhost '/'"))
    assert not is_missing(ChannelClosedByBroker(405, "RESOURCE_LOCKED - no queue"))


class IllBroker:
    """A loop whose connections open, get their channel, and are closed by the broker at once. It waits for nothing."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.hosts: list[str] = []
        self._next: Callable[[], None] = lambda: None
        self._closed: Callable[[Any, Any], None] = lambda *_: None

    is_open, is_closed = True, False

    def open(
        self,
        to: Parameters,
        opened: Callable[[Any], None],
        failed: Callable[[Any, Any], None],
        closed: Callable[[Any, Any], None],
    ) -> Connection:
        self.hosts.append(to.host)
        self._closed = closed
        self._next = lambda: opened(self)
        return cast(Connection, self)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.pauses.append(seconds)
        self._next = call

    def channel(self, on_open_callback: Callable[[Channel], None]) -> None:
        on_open_callback(cast(Channel, self))

    def add_on_connection_blocked_callback(self, _: object) -> None: ...
    def add_on_connection_unblocked_callback(self, _: object) -> None: ...
    def add_on_close_callback(self, _: object) -> None: ...

    def round(self) -> None:
        """Let one connection open and end."""
        self._next()
        self._closed(self, ChannelClosedByBroker(541, "INTERNAL_ERROR"))
        self._next()


@pytest.mark.parametrize("hosts", ["a", "a,b,c"])
def test_connections_that_end_at_once_come_again_at_growing_pauses(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    rounds: list[int] = []

    def recorded(number: int, *_: float) -> float:
        rounds.append(number)
        return 1.0

    monkeypatch.setattr(connection, "backoff_seconds", recorded)
    broker = IllBroker()
    section = RabbitmqSection.model_validate({"url": f"amqp://guest:guest@{hosts}/"})
    line = BrokerConnection(broker, section, "test")
    line.start()
    for _ in range(9):
        broker.round()
    assert rounds == list(range(1, 1 + 9 // len(hosts.split(","))))
    monkeypatch.setattr(connection, "_LIVED_SECONDS", 0.0)
    broker.round()
    for _ in range(hosts.count(",")):
        monkeypatch.setattr(connection, "_LIVED_SECONDS", 10.0)
        broker.round()
    assert rounds[-1] == 1, "one that has lived begins anew"
