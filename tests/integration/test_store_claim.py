"""The tasks that a claim takes, and those that it leaves."""

from datetime import UTC, datetime, timedelta

import pytest

from dtqs.scoreboard import Death
from dtqs.settlement import Kind
from dtqs.task import Claimed
from dtqs.uuid7 import uuid7
from tests.support.fix_store import DIED, World, settled
from tests.support.helpers import eventually


def taken(world: World, task_ids: list[str], worker: str | None = None) -> list[Claimed]:
    """Claim with a fresh worker, and return the claimed tasks in the order of ids."""
    claimed, _ = world.store.leases.claim(worker or world.worker(), uuid7(), task_ids)
    return sorted(claimed, key=lambda task: task.task_id)


def test_a_claim_returns_the_facts_that_an_attempt_needs(world: World) -> None:
    (task,) = world.submit(payload='{"a": 1}', max_retries=3, timeout_seconds=1.5, light=False, task_type="image")
    (claimed,) = taken(world, [task])
    assert (claimed.task_id, claimed.task_type, claimed.payload) == (task, "image", '{"a": 1}')
    assert (claimed.attempt, claimed.max_retries, claimed.timeout_seconds) == (1, 3, 1.5)


def test_a_claim_moves_tasks_into_one_lease_and_writes_none_of_them(world: World) -> None:
    tasks, worker = world.submit(3), world.worker()
    before = world.rows("SELECT id, xmin FROM tasks ORDER BY id")
    assert len(taken(world, tasks, worker)) == 3
    assert world.rows("SELECT id, xmin FROM tasks ORDER BY id") == before
    assert world.rows("SELECT worker_id::text, task_ids::text[] FROM leases") == [(worker, tasks)]
    assert world.value("SELECT count(*) FROM backlog") == 0
    assert world.statuses(tasks) == ["in_progress"] * 3
    world.check()


def test_a_claim_takes_the_named_tasks_only(world: World) -> None:
    a, b = world.submit(2)
    assert [task.task_id for task in taken(world, [a, uuid7()])] == [a]
    assert world.statuses([a, b]) == ["in_progress", "pending"]
    world.check()


def test_a_forged_hint_takes_no_task_of_another_type(world: World) -> None:
    (video,), (echo,), worker = world.submit(task_type="video", light=False), world.submit(), world.worker()
    logged = world.value("SELECT count(*) FROM logs")
    for waits in (True, False):
        assert world.store.leases.claim(worker, uuid7(), [video], waits, "echo") == ([], [])
    assert world.value("SELECT count(*) FROM leases") == 0
    assert world.value("SELECT count(*) FROM logs") == logged
    assert [task.task_id for task in world.store.leases.claim(worker, uuid7(), [echo, video], True, "echo")[0]] == [
        echo
    ]
    assert world.statuses([video]) == ["pending"]
    assert len(world.store.leases.claim(worker, uuid7(), [video], True, "video")[0]) == 1
    world.check()


@pytest.mark.session
def test_a_warm_up_prepares_the_hot_statements_and_changes_nothing(fresh_world: World) -> None:
    fresh_world.submit(3)
    counts = "SELECT (SELECT count(*) FROM backlog), (SELECT count(*) FROM leases), (SELECT count(*) FROM logs)"
    store, worker = fresh_world.new_store("warmed"), fresh_world.worker()
    store.leases.warm_up(worker)
    with store.database._connection() as connection:
        said = connection.execute("SELECT statement FROM pg_prepared_statements").fetchall()
    assert sum("INTO leases" in text for (text,) in said) == 1
    assert sum("FROM leases" in text for (text,) in said) == 3
    assert fresh_world.rows(counts) == [(3, 0, 0)]


def test_a_claim_that_takes_nothing_leaves_no_lease(world: World) -> None:
    worker = world.worker()
    assert taken(world, [uuid7()], worker) == []
    assert world.store.leases.held(worker) == []


def test_a_duplicate_hint_takes_nothing(world: World) -> None:
    (task,) = world.submit()
    world.claim(world.worker(), [task])
    assert taken(world, [task]) == []
    world.check()


def test_a_hint_of_a_task_that_has_ended_takes_nothing(world: World) -> None:
    (task,) = world.submit()
    world.run([task])
    assert taken(world, [task]) == []
    world.check()


def test_a_worker_that_is_not_registered_takes_nothing(world: World) -> None:
    (task,) = world.submit()
    assert taken(world, [task], uuid7()) == []
    world.check()


def test_a_hint_does_not_run_a_task_before_it_is_due(world: World) -> None:
    (task,) = world.submit(delay_seconds=60.0)
    assert taken(world, [task]) == []
    assert world.status(task) == "pending"
    world.make_due([task])
    assert len(taken(world, [task])) == 1


def set_times(world: World, task_id: str, due_seconds: float, grace_seconds: float) -> None:
    world.rows(
        "UPDATE backlog SET due_at = now() + %s * interval '1 s', publish_at = now() + %s * interval '1 s' "
        "WHERE task_id = %s RETURNING 1",
        due_seconds,
        due_seconds + grace_seconds,
        task_id,
    )


def test_a_task_that_was_due_before_a_small_step_back_of_the_clock_is_still_taken(world: World) -> None:
    hinted, delayed, long_before = world.submit(3)
    set_times(world, hinted, 1.5, 5)
    set_times(world, delayed, 1.5, 0)
    set_times(world, long_before, 60, 5)
    (claimed,) = taken(world, [hinted, delayed, long_before])
    assert (claimed.task_id, claimed.waited_ms) == (hinted, 0)


def test_a_delayed_task_that_a_worker_puts_off_is_not_run_early(world: World) -> None:
    (task,) = world.submit()
    set_times(world, task, 1.5, 0)
    world.store.backlog.put_off([task], "echo", 30)
    assert taken(world, [task]) == []
    assert world.value("SELECT publish_at = due_at FROM backlog")


def test_a_duplicate_hint_does_not_cut_a_retrys_delay_short(world: World) -> None:
    (task,) = world.submit()
    world.run([task], Kind.RETRY, delay_seconds=60.0)
    assert taken(world, [task]) == []
    world.make_due([task])
    assert [claimed.attempt for claimed in taken(world, [task])] == [2]


def test_a_heavy_task_is_taken_alone_only(world: World) -> None:
    (heavy,), (light,) = world.submit(light=False), world.submit()
    assert [task.task_id for task in taken(world, [heavy, light])] == [light]
    assert [task.task_id for task in taken(world, [heavy])] == [heavy]
    world.check()


def test_a_light_task_is_heavy_after_a_spent_attempt(world: World) -> None:
    a, b = world.submit(2)
    world.run([a], Kind.RETRY)
    assert [task.task_id for task in taken(world, [a, b])] == [b]
    assert [(task.task_id, task.light) for task in taken(world, [a])] == [(a, False)]


def test_a_light_task_that_was_given_back_is_still_light(world: World) -> None:
    a, b = world.submit(2)
    world.store.leases.give_back(world.claim(world.worker(), [a]))
    assert [task.light for task in taken(world, [a, b])] == [True, True]


def test_only_a_task_that_nobody_has_claimed_before_is_new(world: World) -> None:
    """Such a light task has no log row. A stream must send the rows of any other first."""
    now, given_back, taken_back = world.submit(3)
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    (timed,) = world.submit(due_at=soon.isoformat())
    (delayed,) = world.submit(delay_seconds=0.3)
    world.store.leases.give_back(world.claim(world.worker(), [given_back]))
    dead = world.worker()
    world.claim(dead, [taken_back])
    world.store.leases.reclaim(dead, DIED, Death(dead, "killed", None, idle=True))
    eventually(lambda: world.value("SELECT count(*) FROM backlog WHERE due_at > now()") == 0, 5)
    tasks = taken(world, [now, timed, delayed, given_back, taken_back])
    assert {task.task_id for task in tasks if task.is_new} == {now, timed, delayed}
    assert {task.task_id for task in tasks if not task.is_new} == {given_back, taken_back}
    assert all(bool(world.store.reads.logs(task.task_id)) != task.is_new for task in tasks)


def test_a_heavy_task_has_a_log_row_at_the_claim_and_a_light_one_has_none(world: World) -> None:
    (heavy,), (light,) = world.submit(light=False), world.submit()
    worker = world.worker()
    _, refs = world.store.leases.claim(worker, uuid7(), [heavy])
    _, none = world.store.leases.claim(worker, uuid7(), [light])
    (row,) = world.store.reads.logs(heavy)
    assert (refs, none) == ([(row.log_id, heavy, "in_progress")], [])
    assert (row.event, row.attempt, row.worker_id, world.events(light)) == ("in_progress", 1, worker, [])


def test_attempts_are_numbered_by_spent_attempts(world: World) -> None:
    (task,) = world.submit()
    world.run([task], Kind.RETRY)
    world.store.leases.give_back(world.claim(world.worker(), [task]))
    assert [claimed.attempt for claimed in taken(world, [task])] == [2]
    assert world.store.reads.task(task).attempt == 2


def test_a_worker_finds_the_leases_that_it_holds(world: World) -> None:
    # a claim whose reply was lost: the next heartbeat finds the lease and gives it back
    (a, b), worker, other = world.submit(2), world.worker(), world.worker()
    lease = world.claim(worker, [a])
    world.claim(other, [b])
    assert [held.lease_id for held in world.store.leases.held(worker)] == [lease]
    world.store.leases.give_back(lease)
    assert world.store.leases.held(worker) == []
    assert (world.status(a), world.attempts(a)) == ("pending", 0)
    world.check()


def test_a_cancelled_task_in_a_lease_is_reported_to_its_worker(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    world.store.tasks.cancel([b])
    (held,) = world.store.leases.held(worker)
    assert (held.lease_id, held.cancel_requested) == (lease, (b,))
    world.store.leases.finish(lease, settled([a]))
    assert world.statuses([a, b]) == ["completed", "cancelled"]
