"""The thinnest line through everything: submitted over HTTP, claimed, run, finished, seen."""

from tests.fix_system import Factory


def test_a_submitted_task_comes_back_completed(system: Factory) -> None:
    running = system()
    task = running.wait_for(running.submit({"hello": "world"}))
    assert task["status"] == "completed"
    assert task["result"] == {"hello": "world"}
    assert task["attempt"] == 1


def test_an_array_of_tasks_is_worked_off_and_the_audit_finds_nothing(system: Factory) -> None:
    running = system()
    running.submit_many(300)
    assert running.wait_all() == {"completed": 300}
    audit = running.run("doctor", "--audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def test_a_drained_supervisor_ends_with_status_0_and_its_tasks_are_done_by_the_next(system: Factory) -> None:
    running = system()
    assert running.stop_supervisor() == 0
    task_id = running.submit()
    running.start_supervisor()
    assert running.wait_for(task_id)["status"] == "completed"
