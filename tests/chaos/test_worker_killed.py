"""SIGKILL of a worker: at most the running task loses an attempt, and the next worker goes on at once."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import alive, gone

ONE = {"pool:default": {"workers": 1}}


def test_a_task_whose_worker_is_killed_spends_its_attempt_and_runs_again_at_once(trial: Try) -> None:
    system = trial({**ONE, "lease": {"lease_seconds": 30}})
    task_id = system.put_one({"sleep_seconds": 1})
    os.kill(system.running(task_id).pid, signal.SIGKILL)
    killed_at = time.monotonic()
    eventually(
        lambda: len(system.workers()) == 1 and system.attempts(task_id) == 1,
        10,
        "the replacement has taken the task back",
    )
    system.running(task_id)
    # long before the lease ends: the replacement learns of the death from the supervisor
    assert time.monotonic() - killed_at < 5
    assert system.outcome(task_id) == "completed"
    assert system.attempts(task_id) == 2
    assert system.events(task_id) == ["in_progress", "pending", "in_progress", "completed"]
    assert "signal 9 (SIGKILL)" in str(system.logs(task_id)[1].message)
    system.check()


def test_workers_killed_repeatedly_in_batches_of_light_tasks_lose_no_task(trial: Try) -> None:
    system = trial()
    system.put({"a": 1}, 3000)
    deaths = 0
    while system.rows("SELECT 1 FROM tasks WHERE outcome IS NULL LIMIT 1"):
        for worker in system.workers():
            if alive([worker.pid]) and deaths < 6:
                os.kill(worker.pid, signal.SIGKILL)
                deaths += 1
        eventually(lambda: len(system.workers()) == 2, 10, "both slots have a worker again")
    assert system.done() == {"completed": 3000}
    assert deaths


def test_a_poison_task_fails_after_its_retries_and_spends_no_attempt_of_its_batch(trial: Try) -> None:
    system = trial(ONE, supervisor=False)
    poison = system.put({"kill": True}, task_type="nap", max_retries=2)[0]
    others = system.put({}, 20, task_type="nap")
    system.start_supervisor()
    assert system.outcome(poison, 20) == "failed"
    assert system.attempts(poison) == 3
    assert "SIGKILL" in system.error(poison)
    assert set(system.outcomes(others)) == {"completed"}
    assert {system.attempts(task_id) for task_id in others} == {1}
    system.check()


@pytest.mark.parametrize("others", [0, 20])
def test_a_task_that_kills_its_worker_during_the_claim_fails_and_spends_no_attempt_of_others(
    trial: Try, others: int
) -> None:
    system = trial(ONE, supervisor=False)
    poison = system.put({"kill": True}, task_type="bomb")[0]
    innocent = system.put({}, others, task_type="bomb")
    system.start_supervisor()
    # one hint names them all, so they come in one claim
    system.hint([poison, *innocent], light=True, task_type="bomb")
    assert system.outcome(poison, 20) == "failed"
    assert "SIGKILL" in system.error(poison)
    assert set(system.outcomes(innocent)) <= {"completed"}
    assert {system.attempts(task_id) for task_id in innocent} <= {1}
    system.check()


def test_a_task_that_ends_its_worker_with_a_status_fails_with_that_cause(trial: Try) -> None:
    system = trial(ONE)
    task_id = system.put_one({"exit": 0}, max_retries=1)
    assert system.outcome(task_id) == "failed"
    assert system.attempts(task_id) == 2
    assert "exit status 0" in system.error(task_id)
    system.check()


def test_every_process_that_a_killed_workers_task_started_is_ended(trial: Try, tmp_path: Path) -> None:
    system = trial(ONE)
    pid_file = tmp_path / "pids"
    task_id = system.put_one({"pid_file": str(pid_file)}, task_type="family", max_retries=0)
    worker = system.running(task_id)
    eventually(lambda: pid_file.exists() and pid_file.read_text(), 5)
    pids = [int(pid) for pid in pid_file.read_text().split()]
    assert len(alive(pids)) == 2
    os.kill(worker.pid, signal.SIGKILL)
    gone(pids)
    assert system.outcome(task_id) == "failed"
