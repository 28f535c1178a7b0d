"""Cancel, time limit, and the effect mark's influence on a death, a stop and a cancel."""

import signal
import time
from pathlib import Path
from typing import Any

import pika
import pytest

from dtqs.broker.topology import CONTROL
from dtqs.event import encode_cancel
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial, alive, gone

ONE = {"pool:default": {"workers": 1}}


def cancel(system: Trial, task_id: str) -> None:
    assert system.client.post(f"/tasks/{task_id}/cancel").status_code in (200, 202)


def test_a_pending_task_is_cancelled_at_once_and_a_running_one_is_interrupted_with_its_children(
    trial: Try, tmp_path: Path
) -> None:
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
    assert [one.pid for one in system.workers()] == [worker.pid], "the worker itself is not killed"
    assert system.attempts(pending) == 0
    system.check()


def test_a_forged_cancel_does_not_interrupt_a_task(trial: Try) -> None:
    system = trial(ONE, api=True)
    task_id = system.put_one({"sleep_seconds": 1.5})
    system.running(task_id)
    with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
        channel = connection.channel()
        for _ in range(200):
            channel.basic_publish(CONTROL, "", encode_cancel([task_id]))
    assert system.outcome(task_id) == "completed"
    assert system.attempts(task_id) == 1
    cancelled = system.put_one({"sleep_seconds": 60})
    system.running(cancelled)
    cancel(system, cancelled)
    assert system.outcome(cancelled, 3) == "cancelled"
    system.check()


@pytest.mark.parametrize("task_type", ["stubborn", "locked"])
def test_code_that_obeys_no_interrupt_is_killed_when_it_is_cancelled(
    trial: Try, tmp_path: Path, task_type: str
) -> None:
    system = trial(ONE, api=True)
    marker = tmp_path / "marker"
    task_id = system.put_one({"marker": str(marker)}, task_type=task_type, max_retries=5)
    eventually(marker.exists, 10)
    cancel(system, task_id)
    assert system.outcome(task_id, 8) == "cancelled"
    assert system.outcome(system.put_one()) == "completed"
    system.check()


def test_code_that_swallows_interrupts_is_killed_at_its_time_limit(trial: Try, tmp_path: Path) -> None:
    system = trial(ONE)
    task_id = system.put_one(
        {"marker": str(tmp_path / "marker")}, task_type="stubborn", timeout_seconds=0.5, max_retries=1
    )
    assert system.outcome(task_id, 10) == "failed"
    assert system.attempts(task_id) == 2
    assert "time limit" in system.error(task_id)
    system.check()


def test_a_type_without_a_retry_after_a_time_limit_has_none_after_a_kill_at_it(trial: Try, tmp_path: Path) -> None:
    system = trial(ONE)
    payload = {"marker": str(tmp_path / "marker")}
    task_id = system.put_one(payload, task_type="stubborn_once", timeout_seconds=0.5, max_retries=5)
    assert system.outcome(task_id, 10) == "failed"
    assert system.attempts(task_id) == 1
    assert "time limit" in system.error(task_id)
    system.check()


def test_any_task_that_exceeds_its_time_limit_fails_transiently(trial: Try) -> None:
    system = trial()
    limits: dict[str, Any] = {"timeout_seconds": 0.5, "max_retries": 1}
    tasks = [system.put_one(payload, **limits) for payload in ({"sleep_seconds": 60}, {"spin_seconds": 60})]
    tasks += system.put({"seconds": 60}, task_type="nap", **limits)  # claims to be light
    assert system.outcomes(tasks) == ["failed"] * 3
    assert system.spent() == {2: 3}
    assert all("time limit of 0.5 s" in system.error(task_id) for task_id in tasks)
    assert len(system.rows("SELECT 1 FROM workers")) == 2, "no worker was killed for it"
    system.check()


def test_a_time_limit_fails_at_once_for_a_type_without_retry_on_timeout(trial: Try) -> None:
    system = trial(ONE)
    task_id = system.put_one({}, task_type="once", timeout_seconds=0.5, max_retries=5)
    assert system.outcome(task_id, 10) == "failed"
    assert system.attempts(task_id) == 1


def test_a_kill_after_an_effect_began_follows_its_mark(trial: Try) -> None:
    system = trial()
    fail, again = (
        system.put_one({"on_ambiguous": mark, "seconds": 30}, task_type="effect") for mark in ("fail", "retry")
    )
    for task_id in (fail, again):
        wait_until_marked(system, task_id)
    for task_id in (fail, again):
        system.kill(system.holder(task_id).pid)
    assert system.outcomes([fail, again]) == ["failed", "completed"]
    assert [system.attempts(task_id) for task_id in (fail, again)] == [1, 2]
    assert "after the effect had begun" in system.error(fail)
    system.check()


def test_a_marked_task_is_settled_by_its_own_error_and_fails_after_a_death(trial: Try) -> None:
    system = trial()
    answers: list[dict[str, object]] = [{"fail": "permanent"}, {"fail": "transient"}, {"exit": 3}]
    tasks = [system.put_one({"effect": "fail", **answer}, max_retries=1) for answer in answers]
    assert system.outcomes(tasks) == ["failed"] * 3
    assert [system.attempts(task_id) for task_id in tasks] == [1, 2, 1]
    assert ["after the effect had begun" in system.error(task_id) for task_id in tasks] == [False, False, True]
    system.check()


@pytest.mark.parametrize(("mark", "outcome"), [("fail", "failed"), ("retry", None)])
def test_a_stop_follows_the_mark_of_an_effect(trial: Try, mark: str, outcome: str | None) -> None:
    system = trial(ONE)
    task_id = system.put_one({"on_ambiguous": mark, "seconds": 30}, task_type="effect")
    wait_until_marked(system, task_id)
    assert system.stop_supervisor(signal.SIGINT, 5) == 0
    assert system.rows("SELECT outcome, attempts FROM tasks") == [(outcome, 1 if outcome else 0)]
    if outcome:
        assert "[processor:effect] on_ambiguous" in system.error(task_id)
    system.check()


def test_a_cancel_follows_the_mark_of_an_effect(trial: Try) -> None:
    system = trial(ONE, api=True)
    task_id = system.put_one({"on_ambiguous": "fail", "seconds": 30}, task_type="effect")
    wait_until_marked(system, task_id)
    cancel(system, task_id)
    assert system.outcome(task_id, 5) == "failed"
    assert "after the effect had begun" in system.error(task_id)


def test_a_heartbeat_finds_a_cancel_whose_event_was_lost(trial: Try) -> None:
    system = trial(ONE)
    task_id = system.put_one({"sleep_seconds": 60})
    system.running(task_id)
    system.store.tasks.cancel([task_id])
    requested_at = time.monotonic()
    assert system.outcome(task_id, 5) == "cancelled"
    assert time.monotonic() - requested_at < 3
    system.check()


def wait_until_marked(system: Trial, task_id: str) -> None:
    """Wait until the effect mark is on the lease."""
    eventually(
        lambda: system.rows("SELECT 1 FROM leases WHERE %s::uuid = ANY (task_ids) AND effect IS NOT NULL", task_id), 10
    )
