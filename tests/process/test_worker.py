"""One or two real workers on real servers: the tasks they take and pass on, and hostile hints and results."""

import os
import signal
from pathlib import Path

import psycopg

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial, gone

ONE = {"pool:default": {"workers": 1}}
# No keeper publishes a task again within a test's time, so a lost hint shows.
ONCE = {"lease": {"grace_seconds": 20, "lease_seconds": 30}}


def test_hints_that_come_while_a_worker_is_busy_go_to_the_other_one(trial: Try) -> None:
    system = trial(ONCE, api=True)
    long = system.submit({"sleep_seconds": 30})
    holder = system.running(long)
    ids = [system.submit({"number": number}) for number in range(40)]
    assert set(system.outcomes(ids, 15)) == {"completed"}
    assert system.rows("SELECT DISTINCT worker_id::text FROM tasks WHERE outcome IS NOT NULL") != [(holder.worker_id,)]
    assert system.task(long)["status"] == "in_progress"


def test_a_busy_worker_returns_its_hints_for_the_other_workers(trial: Try) -> None:
    """Let the worker learn that such tasks are short, so that it holds many hints when one turns out long."""
    system = trial({**ONCE, "pool:default": {"workers": 1}}, api=True)
    system.submit_many(3000)
    system.done()
    assert system.stop_supervisor() == 0
    long = system.submit({"sleep_seconds": 30})
    ids = [system.submit({"number": number}) for number in range(60)]
    system.start_supervisor()
    system.running(long)
    system.start_another_supervisor()
    assert set(system.outcomes(ids, 15)) == {"completed"}
    assert system.task(long)["status"] == "in_progress"


def test_a_batch_is_cut_after_a_light_task_that_takes_long(trial: Try) -> None:
    system = trial(ONCE, supervisor=False)
    before = system.put({}, 5, task_type="nap")
    long = system.put({"seconds": 6}, task_type="nap")[0]
    after = system.put({}, 20, task_type="nap")
    system.start_supervisor()
    # one hint for all tasks, as a group of submits shares one
    system.hint([*before, long, *after], light=True, task_type="nap")
    assert set(system.outcomes([*before, *after], 5)) == {"completed"}
    assert system.rows("SELECT outcome FROM tasks WHERE id = %s", long) == [(None,)]
    assert system.outcome(long) == "completed"
    assert system.spent() == {1: 26}, "a give back spends no attempt"
    assert "given back" in {row.message for task_id in after for row in system.logs(task_id)}
    system.check()


def test_light_tasks_that_take_long_are_given_back_about_once_each(trial: Try) -> None:
    """They leave in hints of one batch each. In one hint they would be claimed and cut again together."""
    system = trial({**ONCE, **ONE}, supervisor=False)
    task_ids = system.put({"seconds": 0.1}, 50, task_type="nap")
    system.start_supervisor()
    system.hint(task_ids, light=True, task_type="nap")
    assert set(system.outcomes(task_ids, 15)) == {"completed"}
    assert system.rows("SELECT count(*) FROM logs WHERE message = 'given back'")[0][0] <= 2 * len(task_ids)
    assert system.spent() == {1: 50}
    system.check()


def test_a_cut_that_postgresql_refuses_is_repeated(trial: Try) -> None:
    system = trial(ONCE, supervisor=False)
    long = system.put({"seconds": 6}, task_type="nap")[0]
    after = system.put({}, 5, task_type="nap")
    system.start_supervisor()
    with psycopg.connect(system.dsn) as connection:
        system.hint([long, *after], light=True, task_type="nap")
        system.holder(long)
        # the claim has landed; the cut waits behind this lock, and is lost with its connection
        connection.execute("LOCK TABLE leases IN SHARE MODE")
        ended = """
            SELECT pg_terminate_backend(pid)
            FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND strpos(query, %s) > 0
        """
        eventually(lambda: system.rows(ended, "rest AS"), 10, "the cut waits")
    assert set(system.outcomes(after, 5)) == {"completed"}
    assert system.rows("SELECT outcome FROM tasks WHERE id = %s", long) == [(None,)]
    assert system.outcome(long) == "completed"
    assert system.spent() == {1: 6}
    system.check()


def test_a_hint_of_an_unknown_type_is_put_off_and_not_lost(trial: Try) -> None:
    system = trial({**ONE, **ONCE})
    task_id = system.put_one(task_type="future")
    system.hint([task_id], task_type="future")
    eventually(lambda: "unknown task type put off" in system.log("supervisor"), 5)
    # A keeper that saw the new queue may make all hints due once more, and then the task is put off a second time.
    seconds = (
        "SELECT 1 FROM backlog JOIN tasks ON id = task_id WHERE extract(epoch FROM publish_at - now()) BETWEEN 5 AND 10"
    )
    eventually(lambda: system.rows(seconds), 5, "the task is put off by ten seconds")
    assert system.outcome(system.put_one(), 25) == "completed"
    assert system.rows("SELECT outcome FROM tasks WHERE id = %s", task_id) == [(None,)]
    system.check()


def test_a_hint_with_a_wrong_task_type_does_no_harm(trial: Try) -> None:
    system = trial({**ONE, **ONCE})
    unknown, known = system.put_one(task_type="future"), system.put_one({"a": 1}, task_type="shape", light=True)
    system.hint([unknown], task_type="echo")
    system.hint([known], task_type="echo", light=True)
    eventually(lambda: "unknown task type put off" in system.log("supervisor"), 5)
    assert len(system.rows("SELECT 1 FROM workers")) == 1, "the hint killed no worker"
    assert system.attempts(unknown) == 0
    system.check()


def test_dead_letters_are_dropped_and_logged_and_the_worker_goes_on(trial: Try) -> None:
    system = trial(ONE)
    hint = b'{"task_type":"echo","light":true,"ids":[%s]}'
    for body in (
        b"",
        b"garbage",
        b"{}",
        hint % b"",
        hint % b'"x"',
        hint.replace(b"true", b"1") % b"",
        b"[" * 100_000,
        b"\xff",
    ):
        system.publish(body)
    assert system.outcome(system.put_one()) == "completed"
    eventually(lambda: system.log("supervisor").count("dead letter dropped") == 8, 5)
    assert len(system.rows("SELECT 1 FROM workers")) == 1


def test_a_result_that_cannot_be_stored_fails_its_own_task_only(trial: Try) -> None:
    system = trial(ONE, supervisor=False)
    odd = {
        name: system.put({"shape": name}, task_type="shape", max_retries=1)[0]
        for name in ("set", "nul", "surrogate", "integer", "huge", "words")
    }
    good = system.put({"a": 1}, 10)
    system.start_supervisor()
    outcomes = dict(zip(odd, system.outcomes([*odd.values()]), strict=True))
    assert outcomes == {
        "set": "failed",
        "nul": "failed",
        "surrogate": "failed",
        "integer": "failed",
        "huge": "failed",
        "words": "completed",
    }
    assert set(system.outcomes(good)) == {"completed"}
    assert system.spent() == {1: 16}, "bad results fail at once, since no retry can help"
    assert "NUL" in system.error(odd["nul"])
    assert "16777216 are allowed" in system.error(odd["huge"])
    assert system.rows("SELECT result FROM tasks WHERE id = %s", odd["words"]) == [({"a": "ü\\u0000"},)]
    system.check()


def test_an_unusable_value_from_a_processor_fails_its_task_and_not_the_worker(trial: Try) -> None:
    system = trial(ONE, supervisor=False)
    expected = {
        "path": "add_output: name = PosixPath('a'); allowed is text", "bytes": "add_output: name",
        "media": "add_output: media_type", "nan": "the result.score is nan", "progress": "progress: fraction = nan",
        "level": "log: level = 'loud'", "data": "the log's data is not JSON", "turn": "take: per_second = nan",
        "retry_after": "retry_after_seconds = '5'", "patient": "patient", "postponed": "delay_seconds = -5",
        "never": "never", "unspeakable": "its text is missing", "mute": "time limit of 1 s", "exit": "3",
        "invalid": "validation error",
    }  # fmt: skip
    ids = {case: system.put_one({"what": case}, task_type="odd", max_retries=0) for case in expected}
    system.start_supervisor()
    assert set(system.outcomes(list(ids.values()), 60)) == {"failed"}
    errors = {case: system.error(task_id) for case, task_id in ids.items()}
    assert {case: text for case, text in errors.items() if expected[case] not in text} == {}
    assert len(system.rows("SELECT 1 FROM workers")) == 1
    assert "in odd" in str(system.rows("SELECT error ->> 'traceback' FROM tasks WHERE id = %s", ids["invalid"])), (
        "the processor raised it, so it is not a fault of the payload"
    )
    system.check()


def test_signal_handlers_that_a_task_changed_are_restored_for_the_next_task(trial: Try) -> None:
    system = trial(ONE)
    for light in (False, True):
        assert system.outcome(system.put_one({"leave": True}, task_type="marks", light=light)) == "completed"
        task_id = system.put_one(task_type="marks")
        assert system.outcome(task_id) == "failed"
        assert "time limit of 0.5 s" in system.error(task_id)
    assert len(system.rows("SELECT 1 FROM workers")) == 1
    assert system.stop_supervisor() == 0
    assert "did not end in time" not in system.log("supervisor")


def test_an_attempt_may_leave_a_pool_of_processes_that_work(trial: Try) -> None:
    system = trial(ONE)
    task_id = system.put_one(task_type="pools")
    assert system.outcome(task_id) == "completed", system.error(task_id)
    assert len(system.rows("SELECT 1 FROM workers")) == 1
    system.check()


def test_a_slot_whose_tasks_kill_each_worker_slows_down_until_a_task_finishes(trial: Try) -> None:
    system = trial({**ONE, "supervisor": {"restart_max_seconds": 30}})
    deadly = [system.put_one({"kill": True}, task_type="nap", max_retries=0) for _ in range(4)]
    assert [system.outcome(task_id) for task_id in deadly] == ["failed"] * 4
    eventually(lambda: system.log("supervisor").count("slot slowed down") == 2, 10, "two waits")
    assert "cause=signal 9 (SIGKILL) wait_seconds=0." in system.log("supervisor")
    good = system.put_one(task_type="nap")
    assert system.outcome(good) == "completed"
    ((died,),) = system.rows("SELECT max(finished_at) FROM tasks WHERE id = ANY (%s::uuid[])", deadly)
    ((began,),) = system.rows("SELECT started_at FROM tasks WHERE id = %s", good)
    assert (began - died).total_seconds() > 0.4, (
        "the last death is settled before the wait, the next task starts after it"
    )
    assert system.outcome(system.put_one({"kill": True}, task_type="nap", max_retries=0)) == "failed"
    assert system.outcome(system.put_one(task_type="nap")) == "completed"
    assert system.log("supervisor").count("slot slowed down") == 2, "a finished task ends the slowdown"
    system.check()


def test_outcomes_too_large_for_one_finish_are_written_in_several(trial: Try) -> None:
    system = trial({**ONE, **ONCE})
    warm = system.put({"a": 1}, 500)
    for start in range(0, 500, 50):
        system.hint(warm[start : start + 50], light=True)
    system.outcomes(warm)
    large = system.put({"text": "x" * 5_000_000}, 9)
    system.hint(large, light=True)
    assert set(system.outcomes(large)) == {"completed"}
    assert system.spent() == {1: 509}
    assert "given back" in {row.message for task_id in large for row in system.logs(task_id)}
    system.check()


def test_a_worker_gives_back_a_lease_that_it_does_not_know(trial: Try) -> None:
    """Simulate a claim whose reply was lost."""
    system = trial({**ONE, **ONCE})
    task_id = system.put_one()
    lease_id = "01929f3a-0000-7000-8000-000000000001"
    system.store.leases.claim(system.workers()[0].worker_id, lease_id, [task_id])
    assert system.outcome(task_id, 5) == "completed"
    assert system.attempts(task_id) == 1
    assert "unknown lease given back" in system.log("supervisor")
    system.check()


def test_a_worker_that_ends_gives_back_an_unknown_lease_at_once(trial: Try) -> None:
    """Simulate a claim whose reply was lost, before any heartbeat could find it."""
    system = trial({**ONE, "lease": {"grace_seconds": 20, "lease_seconds": 60, "heartbeat_seconds": 20}})
    (leaving,) = system.workers()
    system.start_another_supervisor()
    task_id = system.put_one()
    system.store.leases.claim(leaving.worker_id, "01929f3a-0000-7000-8000-000000000001", [task_id])
    assert system.stop_supervisor() == 0
    assert system.outcome(task_id, 5) == "completed"
    assert system.attempts(task_id) == 1
    system.check()


def test_an_outcome_is_held_until_postgresql_takes_it(trial: Try) -> None:
    system = trial({**ONE, "postgresql": {"statement_timeout_seconds": 1}, "lease": {"lease_seconds": 30}})
    task_id = system.put_one({"sleep_seconds": 0.5})
    system.running(task_id)
    with psycopg.connect(system.dsn) as connection:
        connection.execute("LOCK TABLE tasks IN EXCLUSIVE MODE")
        eventually(lambda: "outcome held" in system.log("supervisor"), 12)
    assert system.outcome(task_id, 5) == "completed"
    assert system.attempts(task_id) == 1
    system.check()


def test_a_locked_row_of_a_dead_worker_does_not_hold_up_the_next_one(trial: Try) -> None:
    limits = {"postgresql": {"statement_timeout_seconds": 1}, "supervisor": {"boot_timeout_seconds": 8}}
    system = trial({**ONE, **ONCE, **limits})
    task_id = system.put_one({"sleep_seconds": 60})
    dead = system.running(task_id)
    with psycopg.connect(system.dsn) as connection:
        connection.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [task_id])
        os.kill(dead.pid, signal.SIGKILL)
        eventually(lambda: "take-back left to a keeper" in system.log("supervisor"), 20)
        eventually(lambda: system.rows("SELECT FROM workers WHERE state = 'ready'"), 10, "the next worker is ready")
        assert "not ready within" not in system.log("supervisor")


def test_a_heartbeat_reports_the_workers_state_and_task(trial: Try) -> None:
    system = trial(ONE)
    task_id = system.put_one({"sleep_seconds": 1})
    system.running(task_id)
    query = "SELECT state, task_type, memory_bytes > 1000000, task_started_at > now() - interval '1 s' FROM workers"
    assert system.rows(query) == [("busy", "echo", True, True)]
    assert titles(system, f"dtqs: worker default/0 echo {task_id}") == 1
    system.outcome(task_id)
    eventually(lambda: system.rows("SELECT state, task_id, completed FROM workers") == [("ready", None, 1)], 3)
    assert titles(system, "dtqs: worker default/0") == 1
    assert titles(system, "dtqs: keeper") == titles(system, "dtqs: supervisor") == 1


def titles(system: Trial, title: str) -> int:
    return [Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0") for pid in system.pids()].count(title)


def test_log_rows_of_a_task_are_in_the_order_of_its_reports(trial: Try) -> None:
    system = trial(ONE)
    task_id = system.put_one({"steps": 5, "fail_times": 1})
    assert system.outcome(task_id) == "completed"
    attempt = ["in_progress", *["progress"] * 5]
    assert system.events(task_id) == [*attempt, "pending", *attempt, "completed"]
    assert [row.data["fraction"] for row in system.logs(task_id) if row.event == "progress"] == [
        0.2,
        0.4,
        0.6,
        0.8,
        1.0,
    ] * 2


def test_a_busy_worker_that_stops_gives_its_task_back_once_and_ends(trial: Try) -> None:
    system = trial({**ONE, **ONCE})
    task_id = system.put_one({"sleep_seconds": 60})
    for number in (signal.SIGINT, signal.SIGQUIT):
        worker = system.holder(task_id)
        os.kill(worker.pid, number)
        gone([worker.pid])
    system.holder(task_id)
    assert system.events(task_id) == ["in_progress", "pending", "in_progress", "pending", "in_progress"]
    assert system.attempts(task_id) == 0
