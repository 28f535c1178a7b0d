"""A worker that SIGSTOP halts for longer than its lease.

After SIGCONT it changes nothing that another worker may hold now, and ends.
"""

import os
import signal
from pathlib import Path

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import LiveWorker, Trial, gone

ONE = {"pool:default": {"workers": 1}, "supervisor": {"beat_timeout_seconds": 60}}


def wait_until_marked_dead(system: Trial, worker: LiveWorker) -> None:
    eventually(
        lambda: system.rows("SELECT 1 FROM workers WHERE id = %s AND dead_at IS NOT NULL", worker.worker_id),
        15,
        "the worker is marked dead",
    )


def halt_with_supervisor(system: Trial, worker: LiveWorker) -> int:
    """Halt a worker and its supervisor, which would kill it at the end of its lease. Return the supervisor's pid."""
    assert system.supervisor
    for pid in (system.supervisor.pid, worker.pid):
        os.kill(pid, signal.SIGSTOP)
    return system.supervisor.pid


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


def test_another_worker_does_a_frozen_workers_task_and_the_late_outcome_is_discarded(trial: Try) -> None:
    system = trial({"supervisor": {"beat_timeout_seconds": 60}})
    task_id = system.put_one({"sleep_seconds": 0.5, "steps": 2})
    worker = system.running(task_id)
    supervisor = halt_with_supervisor(system, worker)
    wait_until_marked_dead(system, worker)
    assert system.outcome(task_id) == "completed"
    before = system.rows("SELECT * FROM tasks"), system.logs(task_id)
    os.kill(worker.pid, signal.SIGCONT)
    eventually(lambda: "(zombie)" in state(worker.pid), 10, "it ends itself")
    os.kill(supervisor, signal.SIGCONT)
    eventually(lambda: len(system.workers()) == 2, 10, "a new worker has its slot")
    assert (system.rows("SELECT * FROM tasks"), system.logs(task_id)) == before
    assert system.attempts(task_id) == 1
    system.check()


def test_an_idle_frozen_worker_ends_without_losing_a_hint(trial: Try) -> None:
    # On waking, the worker must return the hint that it holds: the next publish would be ten minutes away.
    system = trial({**ONE, "lease": {"grace_seconds": 20, "lease_seconds": 2, "heartbeat_seconds": 1}}, api=True)
    worker = system.workers()[0]
    os.kill(worker.pid, signal.SIGSTOP)
    ids = [system.submit() for _ in range(3)]
    wait_until_marked_dead(system, worker)
    os.kill(worker.pid, signal.SIGCONT)
    gone([worker.pid])
    assert set(system.outcomes(ids, 10)) == {"completed"}
    assert system.spent() == {1: 3}
    system.check()


def test_a_worker_marked_dead_between_two_heartbeats_loses_no_hint(trial: Try) -> None:
    system = trial({**ONE, "lease": {"grace_seconds": 20, "lease_seconds": 60, "heartbeat_seconds": 30}}, api=True)
    worker = system.workers()[0]
    system.rows("UPDATE workers SET dead_at = now() WHERE id = %s RETURNING 1", worker.worker_id)
    task_id = system.submit()
    assert system.outcome(task_id, 8) == "completed"
    gone([worker.pid])
    system.check()


def test_all_light_tasks_of_a_frozen_batch_are_taken_back(trial: Try) -> None:
    system = trial({"supervisor": {"beat_timeout_seconds": 60}}, supervisor=False)
    ids = system.put({"seconds": 0.15}, 30, task_type="nap")
    system.start_supervisor()
    worker = system.holder(ids[0])
    supervisor = halt_with_supervisor(system, worker)
    wait_until_marked_dead(system, worker)
    for pid in (worker.pid, supervisor):
        os.kill(pid, signal.SIGCONT)
    gone([worker.pid])
    assert set(system.outcomes(ids)) == {"completed"}
    assert system.spent() == {1: 30}
    system.check()


def test_a_worker_that_never_wakes_is_killed_at_the_end_of_its_lease(trial: Try) -> None:
    system = trial(ONE)
    task_id = system.put_one({"sleep_seconds": 0.5})
    worker = system.running(task_id)
    os.kill(worker.pid, signal.SIGSTOP)
    gone([worker.pid], 10)
    assert "its lease ended" in system.log("supervisor")
    assert system.outcome(task_id) == "completed"
    assert system.rows("SELECT attempts, deaths, losses FROM tasks") == [(1, 0, 1)]
    system.check()


def test_a_node_that_was_frozen_as_a_whole_goes_on(trial: Try) -> None:
    """Freeze all processes, as a laptop does that sleeps: the keeper sleeps too, so it marks no worker dead."""
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
