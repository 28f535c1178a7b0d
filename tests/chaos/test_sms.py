"""A worker that dies between an SMS and the provider's reply.

Nobody knows whether the SMS was sent. It is sent again only if the settings say so.
"""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.sms_servers import Answer, Gateway, SmppServer
from tests.support.trial import Trial


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    yield server
    server.stop()


@pytest.fixture
def smpp() -> Iterator[SmppServer]:
    server = SmppServer()
    yield server
    server.stop()


def waiting(trial: Try, smpp: SmppServer, on_ambiguous: str) -> tuple[Trial, str]:
    """Send a message whose receipt never comes; return once the server has accepted it and the worker waits."""
    keys = {
        "provider": "smpp",
        "host": "127.0.0.1",
        "port": smpp.port,
        "system_id": "dtqs",
        "password": "sesame",
        "on_ambiguous": on_ambiguous,
    }
    system = trial(
        {
            "pool:default": {"workers": 1},
            "supervisor": {"drain_seconds": 1, "stop_seconds": 20},
            "processor:sms": {**keys, "wait_receipt_seconds": 60},
        }
    )
    task_id = system.put_one({"to": "+4915112345678", "text": "hello"}, task_type="sms")
    smpp.wait_for("submit_sm")
    eventually(
        lambda: system.rows("SELECT 1 FROM leases WHERE effect = 'fail'"),
        10,
        "the lease has the mark against a second send",
    )
    return system, task_id


@pytest.mark.parametrize("on_ambiguous", ["fail", "retry"])
@pytest.mark.parametrize("how", ["stop", "drain"])
def test_a_stop_while_waiting_for_a_receipt_completes_the_task(
    trial: Try, smpp: SmppServer, on_ambiguous: str, how: str
) -> None:
    system, task_id = waiting(trial, smpp, on_ambiguous)
    assert system.stop_supervisor(signal.SIGTERM if how == "drain" else signal.SIGINT) == 0
    assert system.outcome(task_id, 1) == "completed"
    ((message_id, receipts),) = system.rows("SELECT result ->> 'message_id', result -> 'receipts' FROM tasks")
    assert (message_id, receipts) == ("00000001", [])
    assert len(smpp.submitted()) == 1
    system.check()


def test_a_kill_while_waiting_for_a_receipt_sends_no_second_message(trial: Try, smpp: SmppServer) -> None:
    system, task_id = waiting(trial, smpp, "retry")
    system.kill(system.holder(task_id).pid)
    assert system.outcome(task_id) == "failed"
    assert "[processor:sms] on_ambiguous" in system.error(task_id)
    assert len(smpp.submitted()) == 1
    system.check()


@pytest.mark.parametrize(("on_ambiguous", "outcome", "requests"), [("fail", "failed", 1), ("retry", "completed", 2)])
def test_on_ambiguous_decides_after_a_worker_was_killed_before_the_reply(
    trial: Try, gateway: Gateway, on_ambiguous: str, outcome: str, requests: int
) -> None:
    keys = {
        "provider": "twilio",
        "account_sid": "AC1",
        "auth_token": "t",
        "base_url": gateway.url,
        "sender": "DTQS",
        "on_ambiguous": on_ambiguous,
    }
    system = trial({"pool:default": {"workers": 1}, "processor:sms": keys})
    never = threading.Event()
    gateway.answers = [Answer(until=never)]
    task_id = system.put_one({"to": "+4915112345678", "text": "hello"}, task_type="sms")
    eventually(lambda: gateway.asked, 10, "the gateway has received the request")
    os.kill(system.holder(task_id).pid, signal.SIGKILL)
    assert system.outcome(task_id) == outcome
    assert len(gateway.asked) == requests
    if outcome == "failed":
        assert "whether it happened is not known" in system.error(task_id)
        assert "[processor:sms] on_ambiguous" in system.error(task_id)
    never.set()
    system.check()
