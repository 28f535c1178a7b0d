"""The doctor's look at a broker that is frozen: it fails in words, and soon."""

import time

from dtqs.cli.checks import rabbitmq as check_rabbitmq
from dtqs.config import Config, load
from dtqs.sandbox.rabbitmq import PrivateRabbitmq


def config(url: str) -> Config:
    return load(None, {"DTQS_RABBITMQ_URL": url})


def test_a_frozen_broker_is_a_failed_check(own_rabbitmq: PrivateRabbitmq) -> None:
    own_rabbitmq.freeze()
    began = time.monotonic()
    found = {check.part: check for check in check_rabbitmq(config(own_rabbitmq.url))}
    assert time.monotonic() - began < 10
    assert (found["RabbitMQ"].state, found["RabbitMQ"].found) == ("failed", "no answer within 5 s")
    assert found["queue"].state == "skipped"


def test_a_broker_that_is_away_is_a_failed_check(own_rabbitmq: PrivateRabbitmq) -> None:
    own_rabbitmq.kill()
    found = {check.part: check for check in check_rabbitmq(config(own_rabbitmq.url))}
    assert found["RabbitMQ"].state == "failed"
    assert "refused" in found["RabbitMQ"].found
