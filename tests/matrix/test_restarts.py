"""Each server of the cell is killed under load and starts again. bin/test-matrix alone runs this."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.matrix.control import CellServer
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.outside import OUTSIDE
from tests.support.trial import Trial

# a restart on a busy machine may outlast a trial's lease
PATIENT = {"lease": {"lease_seconds": 30}, "pool:default": {"workers": 3}}
NAMES = (*(["pgbouncer"] if OUTSIDE.pgbouncer else []), "rabbitmq", "postgresql")


def test_no_task_is_lost_or_doubled_and_none_is_interrupted_by_the_death_of_a_server(trial: Try) -> None:
    system = trial(PATIENT, api=True)
    pids = {worker.pid for worker in system.workers()}
    long = system.put_one({"sleep_seconds": 600})
    system.running(long)
    accepted: list[str] = []
    with submitting(system, accepted):
        for name in NAMES:
            server = CellServer(OUTSIDE.control, name)
            system.put({"a": 1}, 500)
            system.put({"sleep_seconds": 0.01}, 100, light=False)
            system.put({"fail_times": 1}, 20, light=False)
            grown(accepted, 50, f"submits before the end of {name}")
            server.kill()
            if name == "rabbitmq":
                grown(accepted, 50, "submits are accepted without a broker")
            server.start()
            grown(accepted, 100, f"submits are accepted after the end of {name}")
    assert len(set(accepted)) == len(accepted)
    assert set(system.outcomes(accepted, 30)) == {"completed"}
    # its worker hears of the cancel, so its connections are whole again
    assert system.client.post(f"/tasks/{long}/cancel").status_code in {200, 202}
    assert system.done(30).keys() == {"completed", "cancelled"}
    assert system.events(long) == ["in_progress", "cancelled"]
    spent = system.spent()
    assert (set(spent), spent[2]) == ({1, 2}, 20 * len(NAMES)), "the death of a server spends no attempt"
    assert {worker.pid for worker in system.workers()} == pids, "the workers survive"


@contextmanager
def submitting(system: Trial, accepted: list[str]) -> Iterator[None]:
    """Submit single tasks over HTTP meanwhile. Each is accepted or refused with 503."""
    end, wrong = threading.Event(), list[str]()

    def submit() -> None:
        while not end.is_set():
            response = system.client.post("/submit", json={"task_type": "echo", "payload": {}})
            if response.status_code == 202:
                accepted.append(response.json()["task_id"])
            elif response.status_code != 503:
                wrong.append(response.text)
            # the servers under test need the processor
            end.wait(0.01)

    threads = [threading.Thread(target=submit) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join(30)
    assert not wrong


def grown(accepted: list[str], more: int, what: str) -> None:
    at = len(accepted)
    eventually(lambda: len(accepted) >= at + more, 20, what)
