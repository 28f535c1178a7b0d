"""A connection to an unreachable broker: it retries, and warns once the outage has lasted."""

import logging

import pytest
from pika.exceptions import ChannelClosedByBroker

from dtqs.broker.loop import connection
from dtqs.broker.loop.connection import BrokerConnection, down_words, is_missing
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


def test_a_queue_whose_home_node_is_down_is_not_missing() -> None:
    """The texts of RabbitMQ 3.10 and 4.0 are the same; both have the code 404."""
    words = "home node 'rabbit@b' of durable queue 'task_queue' in vhost '/' is down or inaccessible"
    down = ChannelClosedByBroker(404, f"NOT_FOUND - {words}")
    missing = ChannelClosedByBroker(404, "NOT_FOUND - no queue 'task_queue' in vhost '/'")
    assert (down_words(down), is_missing(down)) == (words, False)
    assert (down_words(missing), is_missing(missing)) == (None, True)
