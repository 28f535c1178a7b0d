"""A connection to an unreachable broker: it retries, and warns once the outage has lasted."""

import logging

import pytest
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
