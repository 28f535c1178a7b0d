"""SMS in a worker: one bound connection for all its tasks, and an unbind when it ends."""

from collections.abc import Iterator

import pytest

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.sms_servers import SmppServer


@pytest.fixture
def server() -> Iterator[SmppServer]:
    server = SmppServer()
    yield server
    server.stop()


def keys(server: SmppServer) -> dict[str, object]:
    """Return the keys of [processor:sms] for this server."""
    return {
        "provider": "smpp",
        "host": "127.0.0.1",
        "port": server.port,
        "system_id": "dtqs",
        "password": "sesame",
        "sender": "DTQS",
    }


def test_a_worker_keeps_its_connection_between_tasks_and_unbinds_when_it_ends(trial: Try, server: SmppServer) -> None:
    system = trial({"pool:default": {"workers": 1}, "processor:sms": keys(server)})
    tasks = [
        system.put_one({"to": "+4915112345678", "text": text}, task_type="sms") for text in ("one", "two", "three")
    ]
    assert system.outcomes(tasks) == ["completed"] * 3
    assert system.stop_supervisor() == 0
    assert server.commands() == ["bind_transceiver", "submit_sm", "submit_sm", "submit_sm", "unbind"]
    assert "sesame" not in system.log("supervisor")
    system.check()


def test_an_accepted_message_is_not_sent_again_when_its_worker_dies(trial: Try, server: SmppServer) -> None:
    more = {"on_ambiguous": "retry", "wait_receipt_seconds": 60}
    system = trial(
        {"pool:default": {"workers": 1}, "retry": {"base_seconds": 0.1}, "processor:sms": {**keys(server), **more}}
    )
    task = system.put_one({"to": "+4915112345678", "text": "one"}, task_type="sms")
    eventually(
        lambda: system.rows("SELECT 1 FROM leases WHERE effect = 'fail'"),
        15,
        "the lease has the mark of the accepted message",
    )
    system.kill(system.holder(task).pid)
    assert system.outcome(task) == "failed"
    assert "on_ambiguous" in system.error(task)
    assert server.commands().count("submit_sm") == 1
    system.check()
