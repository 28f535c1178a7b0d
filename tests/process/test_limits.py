"""The limits of a pool's workers, on real servers: memory, open files and number of tasks."""

from pathlib import Path

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial


def replaced(system: Trial, pid: int, reason: str) -> int:
    """Wait until a worker with another pid serves. Return its pid. The log has the reason."""
    found = eventually(
        lambda: [each.pid for each in system.workers() if each.pid != pid and each.pid in system.pids()],
        10,
        f"worker {pid} is replaced",
    )
    assert reason in system.log("supervisor")
    return found[0]


def test_a_worker_that_has_grown_or_served_long_enough_is_replaced_and_one_that_grows_too_far_is_killed(
    trial: Try,
) -> None:
    limits = {"workers": 1, "memory_limit": "200M", "memory_kill": "400 MiB", "max_tasks": 60, "batch_limit": 10}
    system = trial({"pool:default": limits})
    first = eventually(system.workers, 10)[0].pid

    grown = system.put_one({"mebibytes": 200}, task_type="grow")
    assert system.outcome(grown) == "completed"
    second = replaced(system, first, "worker is replaced reason=its memory is 2")

    too_far = system.put_one({"mebibytes": 500, "seconds": 60}, task_type="grow", max_retries=0)
    assert system.outcome(too_far) == "failed"
    assert "passed [pool:default] memory_kill = 400.0 MiB" in system.error(too_far)
    third = replaced(system, second, "killing child")

    many = system.put(count=90)
    assert set(system.outcomes(many)) == {"completed"}
    replaced(system, third, "worker is replaced reason=it has run ")

    assert system.spent() == {1: 92}, "a replacement spends no attempt"
    assert "restarting later" not in system.log("supervisor"), "it delays nothing"
    system.check()


def test_a_worker_whose_task_has_used_up_its_open_files_is_replaced(trial: Try, tmp_path: Path) -> None:
    system = trial({"pool:default": {"workers": 1}})
    first = eventually(system.workers, 10)[0].pid
    assert system.outcome(system.put_one({"marker": str(tmp_path / "leaked")}, task_type="leaks")) == "completed"
    replaced(system, first, "worker is replaced reason=it has all 300 files open")
    assert system.outcome(system.put_one()) == "completed"
    assert system.spent() == {1: 2}


def test_a_worker_that_cannot_connect_although_its_siblings_do_is_replaced_and_its_task_not_blamed(
    trial: Try, tmp_path: Path
) -> None:
    system = trial({"pool:default": {"workers": 1}, "supervisor": {"beat_timeout_seconds": 5}})
    marker = tmp_path / "leaked"
    task_id = system.put_one({"marker": str(marker), "seconds": 60}, task_type="leaks")
    first = system.running(task_id)
    # only the worker's: the keeper shows that PostgreSQL is there
    ended = system.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'dtqs: worker default/0'"
    )
    assert ended
    assert system.outcome(task_id, 60) == "completed"
    replaced(system, first.pid, "cause=its lease ended, since no heartbeat reached PostgreSQL")
    assert system.attempts(task_id) == 1, "the first attempt is not spent"
    assert system.outcome(system.put_one()) == "completed"
