"""A worker that is halted (SIGSTOP) for longer than its lease and let go: it changes nothing that is no longer its own, and ends."""

import os
import signal

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import LiveWorker, Trial, gone

ONE = {"pool:default": {"workers": 1}, "supervisor": {"beat_timeout_seconds": 60}}


def judged(system: Trial, worker: LiveWorker) -> None:
    eventually(
        lambda: system.rows("SELECT 1 FROM workers WHERE id = %s AND dead_at IS NOT NULL", worker.worker_id),
        15,
        "it is judged dead",
    )


def test_a_frozen_workers_task_is_done_by_another_and_its_late_outcome_is_discarded(trial: Try) -> None:
    system = trial({"supervisor": {"beat_timeout_seconds": 60}})
    task_id = system.put_one({"sleep_seconds": 0.5, "steps": 2})
    worker = system.running(task_id)
    os.kill(worker.pid, signal.SIGSTOP)
    judged(system, worker)
    assert system.outcome(task_id) == "completed"
    before = system.rows("SELECT * FROM tasks"), system.logs(task_id)
    os.kill(worker.pid, signal.SIGCONT)
    gone([worker.pid])
    eventually(lambda: len(system.workers()) == 2, 10, "a fresh one sits in its seat")
    assert (system.rows("SELECT * FROM tasks"), system.logs(task_id)) == before
    assert system.attempts(task_id) == 2
    system.check()


def test_an_idle_frozen_worker_ends_without_swallowing_a_hint(trial: Try) -> None:
    # the hint that it finds in its hands when it wakes must go to others: the next publish would be ten minutes away
    system = trial({**ONE, "lease": {"grace_seconds": 20, "lease_seconds": 2, "heartbeat_seconds": 1}}, api=True)
    worker = system.workers()[0]
    os.kill(worker.pid, signal.SIGSTOP)
    ids = [system.submit() for _ in range(3)]
    judged(system, worker)
    os.kill(worker.pid, signal.SIGCONT)
    gone([worker.pid])
    assert set(system.outcomes(ids, 10)) == {"completed"}
    assert system.spent() == {1: 3}
    system.check()


def test_a_worker_marked_dead_between_two_heartbeats_swallows_no_hint(trial: Try) -> None:
    system = trial({**ONE, "lease": {"grace_seconds": 20, "lease_seconds": 60, "heartbeat_seconds": 30}}, api=True)
    worker = system.workers()[0]
    system.rows("UPDATE workers SET dead_at = now() WHERE id = %s RETURNING 1", worker.worker_id)
    task_id = system.submit()
    assert system.outcome(task_id, 8) == "completed"
    gone([worker.pid])
    system.check()


def test_a_frozen_batch_of_light_tasks_is_taken_back_whole(trial: Try) -> None:
    system = trial({"supervisor": {"beat_timeout_seconds": 60}}, supervisor=False)
    ids = system.put({"seconds": 0.15}, 30, task_type="nap")
    system.start_supervisor()
    worker = system.holder(ids[0])
    os.kill(worker.pid, signal.SIGSTOP)
    judged(system, worker)
    os.kill(worker.pid, signal.SIGCONT)
    gone([worker.pid])
    assert set(system.outcomes(ids)) == {"completed"}
    assert max(system.spent()) == 2
    system.check()


def test_a_worker_that_never_wakes_is_killed_and_its_seat_taken(trial: Try) -> None:
    system = trial({"pool:default": {"workers": 1}, "supervisor": {"beat_timeout_seconds": 5}})
    task_id = system.put_one({"sleep_seconds": 0.5})
    worker = system.running(task_id)
    os.kill(worker.pid, signal.SIGSTOP)
    gone([worker.pid], 10)
    assert system.outcome(task_id) == "completed"
    assert system.attempts(task_id) == 2
    system.check()


def test_a_whole_node_that_was_frozen_goes_on_where_it_was(trial: Try) -> None:
    """As a laptop that slept: its keeper slept as well, so nobody is judged by it."""
    system = trial()
    task_id = system.put_one({"sleep_seconds": 0.5})
    workers = system.workers()
    system.running(task_id)
    pids = system.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    system.rows("SELECT pg_sleep(4)")
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)
    assert system.outcome(task_id) == "completed"
    assert system.attempts(task_id) == 1
    assert system.workers() != []
    assert {worker.worker_id for worker in system.workers()} == {worker.worker_id for worker in workers}
    system.check()
