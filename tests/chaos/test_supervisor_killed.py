"""The end of a supervisor: SIGKILL, SIGTERM under load, SIGTERM twice, SIGINT; and two supervisors on one host."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest

from tests.support.fix_trial import Try
from tests.support.helpers import PATIENCE, eventually
from tests.support.trial import Trial, alive, gone

ONE = {"pool:default": {"workers": 1}}


def assert_nothing_in_progress(system: Trial) -> None:
    assert system.rows("SELECT * FROM leases") == []
    assert system.workers() == []


def test_the_children_of_a_killed_supervisor_die_and_the_next_one_finishes_their_tasks(trial: Try) -> None:
    system = trial()
    long = system.put_one({"sleep_seconds": 1})
    system.running(long)
    system.put({"a": 1}, 1500)
    system.put({"sleep_seconds": 0.01}, 50, light=False)
    pids = system.kill_supervisor()
    assert len(pids) == 4
    gone(pids)
    held = system.rows("SELECT count(*) FROM leases")[0][0]
    assert held >= 1
    restarted_at = time.monotonic()
    system.start_supervisor()
    assert system.done() == {"completed": 1551}
    assert system.rows("SELECT attempts, losses FROM tasks WHERE id = %s", long) == [(1, 1)]
    assert "its supervisor ended" in str(system.logs(long)[1].message)
    assert time.monotonic() - restarted_at < 15


def test_only_the_running_task_of_a_killed_nodes_batch_counts_a_loss(trial: Try) -> None:
    # no batch is cut within this test's time
    system = trial(
        {"pool:default": {"workers": 1, "moment_seconds": 10}, "lease": {"lease_seconds": 60, "grace_seconds": 20}},
        supervisor=False,
    )
    before, (long,) = system.put({}, 5, task_type="nap"), system.put({"seconds": 3}, task_type="nap")
    after = system.put({}, 20, task_type="nap")
    system.start_supervisor()
    system.hint([*before, long, *after], light=True, task_type="nap")
    (marks,) = system.config.supervisor.state_dir.glob("node-0/marks-*")
    eventually(lambda: long.encode() in marks.read_bytes(), 10, "the long task runs")
    gone(system.kill_supervisor())
    assert system.rows("SELECT cardinality(task_ids) FROM leases") == [(26,)]
    system.start_supervisor()
    assert set(system.outcomes([*before, long, *after])) == {"completed"}
    assert system.rows("SELECT losses, count(*) FROM tasks GROUP BY 1 ORDER BY 1") == [(0, 25), (1, 1)]
    assert system.rows("SELECT attempts, losses FROM tasks WHERE id = %s", long) == [(1, 1)]
    system.check()


def test_a_terminated_supervisor_under_load_leaves_nothing_in_progress_and_spends_no_attempt(trial: Try) -> None:
    system = trial()
    system.put({"a": 1}, 20_000)
    system.put({"sleep_seconds": 0.02}, 400, light=False)
    eventually(lambda: system.rows("SELECT count(*) FROM tasks WHERE outcome IS NOT NULL")[0][0] > 500, 10)
    assert system.stop_supervisor() == 0
    assert_nothing_in_progress(system)
    system.check()
    assert system.rows("SELECT 1 FROM tasks WHERE outcome IS NULL LIMIT 1"), (
        "the stop came too late: every task has an outcome"
    )
    # one attempt for a completed task, none for a pending one
    assert system.rows("SELECT DISTINCT outcome, attempts FROM tasks ORDER BY 1") == [("completed", 1), (None, 0)]


@pytest.mark.parametrize(
    "numbers", [(signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM)], ids=["SIGINT", "SIGTERM twice"]
)
def test_a_stop_gives_running_tasks_back_unspent_and_ends_their_processes(
    trial: Try, tmp_path: Path, numbers: tuple[signal.Signals, ...]
) -> None:
    system = trial()
    pid_file = tmp_path / "pids"
    tasks = [system.put_one({"pid_file": str(pid_file)}, task_type="family"), system.put_one({"sleep_seconds": 60})]
    for task_id in tasks:
        system.running(task_id)
    eventually(lambda: pid_file.exists() and pid_file.read_text(), 5)
    pids = [int(pid) for pid in pid_file.read_text().split()] + system.pids()
    assert system.supervisor
    for number in numbers[:-1]:
        system.supervisor.send_signal(number)
        eventually(lambda: "draining" in system.log("supervisor"), 5)
    assert system.stop_supervisor(numbers[-1], 5) == 0
    assert_nothing_in_progress(system)
    assert [system.attempts(task_id) for task_id in tasks] == [0, 0]
    assert [system.events(task_id)[-1] for task_id in tasks] == ["pending", "pending"]
    assert not alive(pids)
    system.check()


def test_a_drain_gives_back_a_task_that_outlasts_it(trial: Try) -> None:
    system = trial({"supervisor": {"drain_seconds": 0.5}})
    long, short = system.put_one({"sleep_seconds": 60}), system.put_one({"sleep_seconds": 0.7})
    system.running(long)
    system.running(short)
    assert system.stop_supervisor(timeout=8) == 0
    assert_nothing_in_progress(system)
    assert system.attempts(long) == 0
    system.check()


def test_a_kill_at_the_end_of_the_grace_period_loses_nothing_and_spends_nothing_that_was_drained(
    trial: Try, tmp_path: Path
) -> None:
    """An engine's scale-in: SIGTERM under load, SIGKILL while a task still runs, and a new node without its disk."""
    system = trial({"supervisor": {"drain_seconds": 60}})
    long = system.put_one({"sleep_seconds": 60})
    system.running(long)
    system.put({"a": 1}, 2000)
    system.put({"sleep_seconds": 0.02}, 150, light=False)
    eventually(lambda: system.rows("SELECT count(*) FROM tasks WHERE outcome IS NOT NULL")[0][0] > 200, 10)
    assert system.supervisor
    system.supervisor.send_signal(signal.SIGTERM)
    eventually(lambda: [one.task_id for one in system.workers()] == [long], 10, "the other worker has drained")
    gone(system.kill_supervisor())
    assert system.rows("SELECT 1 FROM tasks WHERE outcome IS NULL AND id <> %s LIMIT 1", long), "the stop came too late"
    assert system.rows("SELECT DISTINCT outcome, attempts FROM tasks WHERE id <> %s ORDER BY 1", long) == [
        ("completed", 1),
        (None, 0),
    ]
    system.supervisor = system._spawn("supervisor", {"DTQS_SUPERVISOR_STATE_DIR": str(tmp_path / "new")})
    system.store.tasks.cancel([long])
    assert system.done() == {"completed": 2150, "cancelled": 1}
    assert system.rows("SELECT DISTINCT attempts FROM tasks WHERE id <> %s", long) == [(1,)]


def test_a_stop_kills_a_worker_that_ignores_it_and_spends_no_attempt(trial: Try, tmp_path: Path) -> None:
    system = trial()
    marker = tmp_path / "marker"
    task_id = system.put_one({"marker": str(marker)}, task_type="stubborn")
    eventually(marker.exists, 10)
    pids = system.pids()
    assert system.stop_supervisor(signal.SIGINT, 10) == 0
    assert_nothing_in_progress(system)
    assert system.attempts(task_id) == 0
    assert not alive(pids)
    system.check()


def test_a_stop_while_postgresql_does_not_answer_ends_in_time(trial: Try) -> None:
    system = trial({"supervisor": {"drain_seconds": 1, "stop_seconds": 0.5}})
    ran = system.put_one({"sleep_seconds": 1.0})
    system.running(ran)
    with psycopg.connect(system.dsn) as connection:
        # every claim, finish and heartbeat waits behind this lock
        connection.execute("LOCK TABLE leases, workers IN ACCESS EXCLUSIVE MODE")
        stopped_at = time.monotonic()
        # drain, stop, and two replacements that try to take back the leases of the killed workers
        assert system.stop_supervisor() == 0
        assert time.monotonic() - stopped_at < PATIENCE * (1 + 7 * 0.5)
    system.start_supervisor()
    assert system.done() == {"completed": 1}


def test_a_second_supervisor_on_the_host_takes_back_the_leases_of_a_killed_one(trial: Try) -> None:
    system = trial(ONE)
    other = system.start_another_supervisor()
    assert len({row[0] for row in system.rows("SELECT DISTINCT node_id FROM workers")}) == 2
    tasks = [system.put_one({"sleep_seconds": 1.0}), system.put_one({"sleep_seconds": 1.0})]
    held = {task_id: system.running(task_id) for task_id in tasks}
    assert len({worker.worker_id for worker in held.values()}) == 2
    pids = system.kill_supervisor()
    gone(pids)
    assert set(system.outcomes(tasks)) == {"completed"}
    mine = next(task_id for task_id in tasks if held[task_id].pid in pids)
    theirs = next(task_id for task_id in tasks if task_id != mine)
    losses = dict(system.rows("SELECT id::text, losses FROM tasks"))
    assert (losses[mine], losses[theirs]) == (1, 0)
    assert "no heartbeat for 2.5 s" in str(system.logs(mine)[1].message)
    assert other.poll() is None
    system.check()


def test_a_killed_keeper_is_replaced_and_its_chores_go_on(trial: Try) -> None:
    system = trial()
    for _ in range(3):
        keeper = [pid for pid in system.pids() if b"keeper" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(keeper[0], signal.SIGKILL)
        # only a keeper publishes these
        assert system.outcome(system.put_one(delay_seconds=0.1)) == "completed"
    system.check()
