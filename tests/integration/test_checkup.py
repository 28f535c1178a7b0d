"""The doctor's check of a broker that refuses, is frozen or is stopped: it fails soon, with a message."""

import time
from contextlib import closing
from urllib.parse import urlsplit

from dtqs.broker.look_link import LookLink
from dtqs.cli.checks.servers import rabbitmq as check_rabbitmq
from dtqs.config import Config, load
from dtqs.deadline import Deadline
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from tests.support.helpers import eventually


def config(url: str) -> Config:
    return load(None, {"DTQS_RABBITMQ_URL": url})


def test_a_broker_that_refuses_or_is_frozen_is_a_failed_check(own_rabbitmq: PrivateRabbitmq) -> None:
    section = config(own_rabbitmq.url).rabbitmq
    with closing(LookLink(section, "test")) as allowed:
        assert allowed.look(Deadline(30)).refusal is None
    user = urlsplit(own_rabbitmq.url).username or ""
    own_rabbitmq.ctl("set_permissions", user, ".*", "^$", ".*")
    refused = next(iter(check_rabbitmq(config(own_rabbitmq.url))))
    assert (refused.part, refused.state) == ("RabbitMQ", "failed")
    assert "refuses messages: ACCESS_REFUSED" in refused.found
    assert "rabbitmqctl set_permissions" in refused.advice
    # Console and dashboard use this link. An older connection keeps its permission for a while.
    with closing(LookLink(section, "test")) as link:
        eventually(
            lambda: "ACCESS_REFUSED" in (link.look(Deadline(30)).refusal or ""), 20, "the link reports the refusal"
        )
    own_rabbitmq.freeze()
    began = time.monotonic()
    found = {check.part: check for check in check_rabbitmq(config(own_rabbitmq.url))}
    assert time.monotonic() - began < 10
    assert (found["RabbitMQ"].state, found["RabbitMQ"].found) == ("failed", "no answer within 5 s")
    assert found["queue"].state == "skipped"


def test_an_unreachable_broker_is_a_failed_check(own_rabbitmq: PrivateRabbitmq) -> None:
    own_rabbitmq.kill()
    found = {check.part: check for check in check_rabbitmq(config(own_rabbitmq.url))}
    assert found["RabbitMQ"].state == "failed"
    assert "refused" in found["RabbitMQ"].found
