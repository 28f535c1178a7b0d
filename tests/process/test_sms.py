"""What a worker keeps for SMS: one bound connection for all its tasks, and a farewell when it ends."""

from collections.abc import Iterator

import pytest

from tests.fix_trial import Try
from tests.sms_servers import SmppServer


@pytest.fixture
def server() -> Iterator[SmppServer]:
    server = SmppServer()
    yield server
    server.stop()


def test_a_worker_keeps_its_connection_from_task_to_task_and_takes_leave_when_it_ends(trial: Try, server: SmppServer) -> None:
    keys = {"provider": "smpp", "host": "127.0.0.1", "port": server.port, "system_id": "dtqs", "password": "sesame", "sender": "DTQS"}
    system = trial({"pool:default": {"workers": 1}, "processor:sms": keys})
    tasks = [system.put_one({"to": "+4915112345678", "text": text}, task_type="sms") for text in ("one", "two", "three")]
    assert system.outcomes(tasks) == ["completed"] * 3
    assert system.stop_supervisor() == 0
    assert server.commands() == ["bind_transceiver", "submit_sm", "submit_sm", "submit_sm", "unbind"]
    assert "sesame" not in system.log("supervisor")
    system.check()
