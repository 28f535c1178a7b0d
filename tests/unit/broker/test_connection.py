"""A connection to an unreachable broker: it retries, and warns once the outage has lasted."""

import logging
from collections.abc import Callable
from pathlib import Path
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
from tests.support.certificates import two_authorities
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


class SlowBroker:
    """A loop with one connection, whose channels open when the test says so. Timers wait for the test, too."""

    is_open, is_closed = True, False

    def __init__(self) -> None:
        self.opening: list[Callable[[Channel], None]] = []
        self.timers: list[Callable[[], None]] = []
        self.opened: Callable[[Any], None] = lambda _: None
        self.hosts: list[Parameters] = []

    def open(self, to: Parameters, opened: Callable[[Any], None], *_: object) -> Connection:
        self.opened = opened
        self.hosts.append(to)
        return cast(Connection, self)

    def later(self, _: float, call: Callable[[], None]) -> None:
        self.timers.append(call)

    def channel(self, on_open_callback: Callable[[Channel], None]) -> None:
        self.opening.append(on_open_callback)

    def add_on_connection_blocked_callback(self, _: object) -> None: ...
    def add_on_connection_unblocked_callback(self, _: object) -> None: ...

    def open_one(self) -> "OneChannel":
        made = OneChannel()
        self.opening.pop(0)(cast(Channel, made))
        return made

    def pass_time(self) -> None:
        timers, self.timers = self.timers, []
        for call in timers:
            call()


class OneChannel:
    def __init__(self) -> None:
        self.closed: Callable[[Any, Any], None] = lambda *_: None

    def add_on_close_callback(self, call: Callable[[Any, Any], None]) -> None:
        self.closed = call

    def close(self) -> None:
        self.closed(self, ChannelClosedByBroker(541, "INTERNAL_ERROR"))


def opened(broker: SlowBroker) -> tuple[BrokerConnection, OneChannel]:
    line = BrokerConnection(broker, RabbitmqSection(), "test")
    line.start()
    broker.opened(broker)
    return line, broker.open_one()


@pytest.mark.parametrize("is_first", [True, False], ids=["opens before the pause ends", "opens after it"])
def test_a_channel_that_closes_while_another_one_opens_is_replaced_once(is_first: bool) -> None:
    """Otherwise two would be open, and nobody would close the first."""
    broker = SlowBroker()
    line, channel = opened(broker)
    line.reopen_channel()  # it gives the first up
    channel.close()
    if is_first:
        following = broker.open_one()
        broker.pass_time()
    else:
        broker.pass_time()
        following = broker.open_one()
    assert broker.opening == []
    assert line.channel is cast(Channel, following)
    following.close()
    broker.pass_time()
    assert len(broker.opening) == 1, "a later one is replaced as well"


def test_a_connection_that_ends_while_a_channel_opens_is_replaced_with_its_channel() -> None:
    broker = SlowBroker()
    line, _ = opened(broker)
    line.reopen_channel()
    line._closed(None, ConnectionError("reset"))
    broker.opening.clear()
    broker.pass_time()
    broker.opened(broker)
    assert line.channel is None
    broker.open_one()
    line.reopen_channel()
    assert len(broker.opening) == 1, "the one that never opened holds up no other"


def shown(to: Parameters) -> set[object]:
    """Return the serial numbers of the authorities that a connection trusts."""
    assert to.ssl_options
    return {each["serialNumber"] for each in to.ssl_options.context.get_ca_certs()}


def test_renewed_certificates_are_read_before_the_next_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    two_authorities(tmp_path)
    (tmp_path / "used.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    broker = SlowBroker()
    url = f"amqps://guest:guest@localhost/?cacertfile={tmp_path}/used.pem"
    line = BrokerConnection(broker, RabbitmqSection.model_validate({"url": url}), "test")
    line.start()
    (tmp_path / "used.pem").write_bytes(b"half of a fi")
    line.start()
    line.start()
    assert [shown(to) for to in broker.hosts] == [shown(broker.hosts[0])] * 3
    assert caplog.messages.count("renewed files of TLS cannot be used") == 1
    (tmp_path / "used.pem").write_bytes((tmp_path / "other.pem").read_bytes())
    before = shown(broker.hosts[0])
    line.start()
    assert shown(broker.hosts[-1]).isdisjoint(before)
