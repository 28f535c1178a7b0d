"""A worker that dies between an SMS and the provider's reply: nobody knows whether it was sent, and it is not sent again unless the settings say so."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.fix_trial import Try
from tests.helpers import eventually
from tests.sms_servers import Answer, Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    yield server
    server.stop()


@pytest.mark.parametrize(("on_ambiguous", "outcome", "requests"), [("fail", "failed", 1), ("retry", "completed", 2)])
def test_a_worker_killed_before_the_reply_leaves_it_to_the_settings(
    trial: Try, gateway: Gateway, on_ambiguous: str, outcome: str, requests: int
) -> None:
    keys = {"provider": "twilio", "account_sid": "AC1", "auth_token": "t", "base_url": gateway.url, "sender": "DTQS", "on_ambiguous": on_ambiguous}
    system = trial({"pool:default": {"workers": 1}, "processor:sms": keys})
    never = threading.Event()
    gateway.answers = [Answer(until=never)]
    task_id = system.put_one({"to": "+4915112345678", "text": "hello"}, task_type="sms")
    eventually(lambda: gateway.asked, 10, "the request has come")
    os.kill(system.holder(task_id).pid, signal.SIGKILL)
    assert system.outcome(task_id) == outcome
    assert len(gateway.asked) == requests
    if outcome == "failed":
        assert "whether it happened is not known" in system.error(task_id)
    never.set()
    system.check()
