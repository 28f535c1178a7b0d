"""SMS through the whole system, to a server that answers as Twilio does."""

from collections.abc import Iterator

import pytest

from tests.support.fix_system import Factory
from tests.support.sms_servers import Gateway, refused

TO, TOKEN = "+4915112345678", "0123456789abcdef"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    yield server
    server.stop()


def test_messages_are_retried_on_request_and_wait_for_their_turn(system: Factory, gateway: Gateway) -> None:
    keys = {"provider": "twilio", "account_sid": "AC1", "auth_token": TOKEN, "base_url": gateway.url, "sender": "DTQS"}
    running = system({"processor:sms": {**keys, "recipient_per_minute": 240, "recipient_burst": 1}})
    refusal = running.client.post("/submit", json={"task_type": "sms", "payload": {"to": "0151", "text": ""}})
    assert refusal.status_code == 422
    assert [problem["field"] for problem in refusal.json()["errors"]] == ["payload.to", "payload.text"]

    gateway.answers = [refused(503, 20503, "Service Unavailable", Retry_After="1")]
    first = running.submit({"to": TO, "text": "one"}, "sms")
    sent = running.wait_for(first)
    assert (sent["status"], sent["result"]["status"], sent["attempt"]) == ("completed", "queued", 2)
    # the next messages wait for their turn, which spends no attempt
    others = [running.submit({"to": TO, "text": text}, "sms") for text in ("two", "three")]
    assert [(task["status"], task["attempt"]) for task in map(running.wait_for, others)] == [("completed", 1)] * 2
    assert sorted(asked.form["Body"] for asked in gateway.asked) == ["one", "one", "three", "two"]

    log = running.log("supervisor") + running.log("api")
    assert "message handed over" in log
    assert not [secret for secret in (TOKEN, TO, TO[1:]) if secret in log]
