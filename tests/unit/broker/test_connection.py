"""A connection to an unreachable broker: it retries, and warns once the outage has lasted."""

import logging

import pytest

from dtqs.broker.loop import connection
from dtqs.broker.loop.connection import BrokerConnection
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
