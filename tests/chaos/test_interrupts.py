"""Cancel, time limit, and what an outside effect's mark makes of a death, a stop and a cancel."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.fix_trial import Try
from tests.helpers import eventually
from tests.trial import Trial, alive, gone

ONE = {"pool:default": {"workers": 1}}


def cancel(system: Trial, task_id: str) -> None:
    assert system.client.post(f"/tasks/{task_id}/cancel").status_code in (200, 202)


def test_a_pending_task_is_cancelled_at_once_and_a_running_one_is_interrupted_with_its_children(trial: Try, tmp_path: Path) -> None:
    system = trial(ONE, api=True)
    pid_file = tmp_path / "pids"
    running = system.put_one({"pid_file": str(pid_file)}, task_type="family")
    worker = system.running(running)
    eventually(lambda: pid_file.exists() and pid_file.read_text(), 5)
    pending = system.put_one()
    cancel(system, pending)
    assert system.task(pending)["status"] == "cancelled"
    pids = [int(pid) for pid in pid_file.read_text().split()]
    assert len(alive(pids)) == 2
    cancel(system, running)
    assert system.outcome(running, 3) == "cancelled"
    gone(pids)
    assert system.attempts(running) == 1
    assert system.outcome(system.put_one()) == "completed"
    assert [one.pid for one in system.workers()] == [worker.pid], "the worker itself goes on"
    assert system.attempts(pending) == 0
    system.check()


def test_code_that_swallows_interrupts_is_killed_when_it_is_cancelled(trial: Try, tmp_path: Path) -> None:
    system = trial(ONE, api=True)
    marker = tmp_path / "marker"
    task_id = system.put_one({"marker": str(marker)}, task_type="stubborn", max_retries=5)
    eventually(marker.exists, 10)
    cancel(system, task_id)
    assert system.outcome(task_id, 8) == "cancelled"
    assert system.outcome(system.put_one()) == "completed"
    system.check()


def test_code_that_swallows_interrupts_is_killed_at_its_time_limit(trial: Try, tmp_path: Path) -> None:
    system = trial(ONE)
    task_id = system.put_one({"marker": str(tmp_path / "marker")}, task_type="stubborn", timeout_seconds=0.5, max_retries=1)
    assert system.outcome(task_id, 10) == "failed"
    assert system.attempts(task_id) == 2
    assert "time limit" in system.error(task_id)
    system.check()


@pytest.mark.parametrize(("task_type", "payload"), [("echo", {"sleep_seconds": 60}), ("echo", {"spin_seconds": 60}), ("nap", {"seconds": 60})])
def test_a_time_limit_is_a_transient_failure(trial: Try, task_type: str, payload: dict[str, object]) -> None:
    system = trial(ONE)
    # the nap says that it is light
    task_id = system.put_one(payload, task_type=task_type, light=task_type == "nap", timeout_seconds=0.5, max_retries=1)
    assert system.outcome(task_id, 10) == "failed"
    assert system.attempts(task_id) == 2
    assert "time limit of 0.5 s" in system.error(task_id)
    assert len(system.rows("SELECT 1 FROM workers")) == 1, "no worker was killed for it"
    system.check()


def test_a_time_limit_fails_at_once_where_the_type_says_so(trial: Try) -> None:
    system = trial(ONE)
    task_id = system.put_one({}, task_type="once", timeout_seconds=0.5, max_retries=5)
    assert system.outcome(task_id, 10) == "failed"
    assert system.attempts(task_id) == 1


@pytest.mark.parametrize(("mark", "outcome", "attempts"), [("fail", "failed", 1), ("retry", "completed", 2)])
def test_a_worker_killed_after_an_effect_began_obeys_its_mark(trial: Try, mark: str, outcome: str, attempts: int) -> None:
    system = trial(ONE)
    task_id = system.put_one({"on_ambiguous": mark, "seconds": 30}, task_type="effect")
    marked(system, task_id)
    os.kill(system.holder(task_id).pid, signal.SIGKILL)
    assert system.outcome(task_id) == outcome
    assert system.attempts(task_id) == attempts
    if mark == "fail":
        assert "after the effect had begun" in system.error(task_id)
    system.check()


@pytest.mark.parametrize("how", ["exit", "permanent", "transient"])
def test_an_own_answer_settles_a_marked_task_and_an_exit_does_not(trial: Try, how: str) -> None:
    system = trial(ONE)
    payload: dict[str, object] = {"effect": "fail", "exit": 3} if how == "exit" else {"effect": "fail", "fail": how}
    task_id = system.put_one(payload, max_retries=1)
    assert system.outcome(task_id) == "failed"
    assert system.attempts(task_id) == (2 if how == "transient" else 1)
    assert ("after the effect had begun" in system.error(task_id)) == (how == "exit")
    system.check()


@pytest.mark.parametrize(("mark", "outcome"), [("fail", "failed"), ("retry", None)])
def test_a_stop_obeys_the_mark_of_an_effect(trial: Try, mark: str, outcome: str | None) -> None:
    system = trial(ONE)
    task_id = system.put_one({"on_ambiguous": mark, "seconds": 30}, task_type="effect")
    marked(system, task_id)
    assert system.stop_supervisor(signal.SIGINT, 5) == 0
    assert system.rows("SELECT outcome, attempts FROM tasks") == [(outcome, 1 if outcome else 0)]
    if outcome:
        assert "after the effect had begun" in system.error(task_id)
    system.check()


def test_a_cancel_obeys_the_mark_of_an_effect(trial: Try) -> None:
    system = trial(ONE, api=True)
    task_id = system.put_one({"on_ambiguous": "fail", "seconds": 30}, task_type="effect")
    marked(system, task_id)
    cancel(system, task_id)
    assert system.outcome(task_id, 5) == "failed"
    assert "after the effect had begun" in system.error(task_id)


def test_a_cancel_that_no_worker_hears_is_found_at_the_next_heartbeat(trial: Try) -> None:
    system = trial(ONE)
    task_id = system.put_one({"sleep_seconds": 60})
    system.running(task_id)
    system.store.tasks.cancel([task_id])
    requested_at = time.monotonic()
    assert system.outcome(task_id, 5) == "cancelled"
    assert time.monotonic() - requested_at < 3
    system.check()


def marked(system: Trial, task_id: str) -> None:
    """Wait until the effect's mark is on the lease."""
    eventually(lambda: system.rows("SELECT 1 FROM leases WHERE %s::uuid = ANY (task_ids) AND effect IS NOT NULL", task_id), 10)
