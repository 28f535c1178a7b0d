"""Parts of batches, reclaims, retirements and marks of effects, and the reports that a running task may write."""

from dataclasses import replace

import pytest

from dtqs.config import RetrySection
from dtqs.errors import LeaseLost
from dtqs.scoreboard import Death
from dtqs.settlement import Kind
from dtqs.task import Effect
from dtqs.uuid7 import uuid7
from tests.support.fix_store import DIED, World, settled


def death(worker: str, task_id: str | None = None, idle: bool = False) -> Death:
    return Death(worker, "signal 9 (SIGKILL)", task_id, idle)


# --- a part of a batch


def test_a_part_settles_the_named_tasks_and_the_rest_gets_a_new_lease(world: World) -> None:
    (a, b, c), worker, following = world.submit(3), world.worker(), uuid7()
    lease = world.claim(worker, [a, b, c])
    started = world.value("SELECT started_at FROM leases")
    refs = world.store.leases.finish_part(worker, lease, following, settled([a]), [c])
    assert sorted(ref[1:] for ref in refs) == [(a, "completed"), (b, "pending")]
    assert world.statuses([a, b, c]) == ["completed", "pending", "in_progress"]
    assert world.rows("SELECT id::text, worker_id::text, task_ids::text[], started_at FROM leases") == [
        (following, worker, [c], started)
    ]
    assert world.attempts(b) == 0
    world.check()
    assert world.store.leases.finish(lease, settled([c], Kind.FAILED)) == []
    assert len(world.store.leases.finish(following, settled([c]))) == 1
    world.check()


def test_a_part_without_a_rest_ends_the_lease(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    world.store.leases.finish_part(worker, lease, uuid7(), settled([a]), [])
    assert world.statuses([a, b]) == ["completed", "pending"]
    assert world.store.leases.held(worker) == []
    world.check()


def test_a_part_keeps_only_tasks_of_its_lease(world: World) -> None:
    (a, b), worker, other = world.submit(2), world.worker(), world.worker()
    lease = world.claim(worker, [a])
    world.claim(other, [b])
    world.store.leases.finish_part(worker, lease, uuid7(), settled([a]), [b])
    assert world.leased_to(b) == [other]
    world.check()


def test_a_part_of_a_lease_that_is_gone_does_nothing(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    world.store.leases.give_back(lease)
    assert world.store.leases.finish_part(worker, lease, uuid7(), settled([a]), [b]) == []
    assert world.statuses([a, b]) == ["pending", "pending"]
    world.check()


def test_a_part_of_another_workers_lease_does_nothing(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    assert world.store.leases.finish_part(world.worker(), lease, uuid7(), settled([a]), [b]) == []
    assert world.statuses([a, b]) == ["in_progress"] * 2
    world.check()


def test_a_part_of_a_worker_marked_dead_does_nothing(world: World) -> None:
    # no other statement runs between the two of a reclaim, so the test sets the mark itself
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    world.rows("UPDATE workers SET dead_at = now() RETURNING 1")
    assert world.store.leases.finish_part(worker, lease, uuid7(), settled([a]), [b]) == []
    assert world.statuses([a, b]) == ["in_progress"] * 2


# --- reclaim


def test_a_reclaim_takes_back_every_lease_of_its_worker_and_no_other(world: World) -> None:
    (a, b, c, d), worker, other = world.submit(4), world.worker(), world.worker()
    world.claim(worker, [a, b])
    world.claim(worker, [c])
    world.claim(other, [d])
    refs = world.store.leases.reclaim(worker, DIED)
    assert sorted(ref[1:] for ref in refs or []) == [(a, "pending"), (b, "pending"), (c, "pending")]
    assert world.statuses([a, b, c, d]) == ["pending"] * 3 + ["in_progress"]
    assert [world.attempts(task) for task in (a, b, c)] == [0, 0, 0]
    assert world.store.reads.task(a).error["message"] == str(DIED)
    assert world.value("SELECT bool_and(NOT light) FROM backlog"), "each runs alone: one of them may end nodes"
    world.check()


def test_a_reclaim_that_knows_the_culprit_spends_its_attempt_alone(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    world.claim(worker, [a, b])
    world.store.leases.reclaim(worker, DIED, death(worker, a))
    assert [world.attempts(task) for task in (a, b)] == [1, 0]
    assert [world.store.reads.task(task).error is None for task in (a, b)] == [False, True]
    assert world.value("SELECT worker_id::text FROM tasks WHERE id = %s", a) == worker
    world.check()


def test_a_reclaim_that_knows_that_nothing_ran_spends_no_attempt(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    world.claim(worker, [a, b])
    world.store.leases.reclaim(worker, DIED, death(worker, idle=True))
    assert [world.attempts(task) for task in (a, b)] == [0, 0]
    world.check()


def test_a_task_that_kills_its_workers_fails_after_the_same_number_of_attempts(world: World) -> None:
    (task,) = world.submit(max_retries=1)
    for _ in range(2):
        world.make_due([task])
        worker = world.worker()
        world.claim(worker, [task])
        refs = world.store.leases.reclaim(worker, DIED, death(worker, task))
    assert [ref[2] for ref in refs or []] == ["failed"]
    assert (world.attempts(task), world.value("SELECT count(*) FROM failures")) == (2, 1)
    world.check()


def die(world: World, task: str, known: bool = True) -> str:
    """Let the next worker of a task die while it runs the task alone; return the new status."""
    world.make_due([task])
    worker = world.worker()
    world.claim(worker, [task])
    refs = world.store.leases.reclaim(worker, DIED, death(worker, task if known else None))
    assert refs
    return refs[0][2]


@pytest.mark.parametrize("known", [True, False])
def test_a_task_fails_after_its_third_death_however_often_it_may_be_retried(world: World, known: bool) -> None:
    (task,) = world.submit(max_retries=1000)
    assert [die(world, task, known) for _ in range(3)] == ["pending", "pending", "failed"]
    record = world.store.reads.task(task)
    assert (record.status, record.error["type"], record.error["transient"]) == ("failed", "TooManyDeaths", False)
    assert "[retry] max_deaths = 3" in record.error["message"]
    assert world.rows("SELECT deaths, finished_at IS NOT NULL FROM tasks") == [(3, True)], "the last one counts too"
    assert str(DIED) in record.error["message"]
    assert world.store.reads.logs(task)[-1].message == record.error["message"]
    world.check()


def test_a_culprit_of_a_final_type_fails_at_once_and_the_rest_of_its_lease_does_not(world: World) -> None:
    (culprit, other), worker = world.submit(2, max_retries=1000), world.worker()
    world.claim(worker, [culprit, other])
    world.store.leases.reclaim(worker, DIED, death(worker, culprit), final_types=["sms", "echo"])
    assert world.statuses([culprit, other]) == ["failed", "pending"]
    record = world.store.reads.task(culprit)
    assert (world.attempts(culprit), record.error["message"], record.error["transient"]) == (1, str(DIED), False)
    world.check()


@pytest.mark.parametrize(
    ("final_types", "effect", "known"), [([], None, True), (["echo"], Effect.RETRY, True), (["echo"], None, False)]
)
def test_a_death_is_final_only_for_the_task_that_ran_without_an_effect_to_retry(
    world: World, final_types: list[str], effect: Effect | None, known: bool
) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    if effect:
        world.store.leases.mark_effect(lease, task, effect)
    world.store.leases.reclaim(worker, DIED, death(worker, task if known else None), final_types=final_types)
    assert (world.status(task), world.attempts(task)) == ("pending", 1)
    world.check()


def test_a_final_death_of_a_task_with_a_cancel_request_ends_as_cancelled(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    world.store.tasks.cancel([task])
    world.store.leases.reclaim(worker, DIED, death(worker, task), final_types=["echo"])
    assert world.status(task) == "cancelled"
    world.check()


@pytest.mark.parametrize("marked", [True, False])
def test_the_loss_of_a_node_spends_no_attempt_and_is_no_death(world: World, marked: bool) -> None:
    (task,) = world.submit(max_retries=0)
    for _ in range(5):
        lose(world, task, marked)
    assert world.rows("SELECT attempts, deaths, losses FROM tasks") == [(0, 0, 5)]
    assert (world.status(task), world.value("SELECT priority FROM backlog")) == ("pending", 5)
    log = world.store.reads.logs(task)[-1]
    assert (log.event, log.attempt, log.level, log.message) == ("pending", 1, "warning", str(DIED))
    assert [die(world, task)] == ["failed"]
    world.check()


def test_a_task_fails_after_its_last_loss(world: World) -> None:
    (task,) = world.submit(max_retries=1000)
    assert die(world, task) == "pending"
    limit = RetrySection().max_losses
    assert [lose(world, task) for _ in range(limit)] == ["pending"] * (limit - 1) + ["failed"]
    record = world.store.reads.task(task)
    assert (record.error["type"], record.error["transient"]) == ("TooManyLosses", False)
    assert f"[retry] max_losses = {limit}" in record.error["message"]
    assert world.rows("SELECT deaths, losses, finished_at IS NOT NULL FROM tasks") == [(1, limit, True)]
    world.check()


def lose(world: World, task: str, marked: bool = False) -> str:
    """Let a node be lost that runs the task; return the new status."""
    world.make_due([task])
    worker = world.worker()
    world.claim(worker, [task])
    lost = replace(death(worker, task), blamed=False) if marked else None
    refs = world.store.leases.reclaim(worker, DIED, lost)
    assert refs
    return refs[0][2]


def test_a_task_whose_worker_has_died_has_the_lowest_priority_from_then_on(world: World) -> None:
    (task,) = world.submit(max_retries=10)
    assert die(world, task) == "pending"
    for kind in (Kind.RETRY, Kind.UNSPENT):
        world.make_due([task])
        world.run([task], kind)
        assert world.value("SELECT priority FROM backlog") == 0, kind
    world.check()


def test_only_deaths_count_as_deaths(world: World) -> None:
    (task,) = world.submit(max_retries=1000)
    for _ in range(3):
        world.make_due([task])
        world.run([task], Kind.RETRY)
    world.make_due([task])
    worker = world.worker()
    world.claim(worker, [task])
    world.store.leases.reclaim(worker, DIED, death(worker, idle=True))
    assert [die(world, task) for _ in range(3)] == ["pending", "pending", "failed"]
    world.check()


def test_a_cancel_request_ends_a_last_death_as_cancelled(world: World) -> None:
    (task,) = world.submit(max_retries=1000)
    assert [die(world, task) for _ in range(2)] == ["pending", "pending"]
    world.make_due([task])
    worker = world.worker()
    world.claim(worker, [task])
    world.store.tasks.cancel([task])
    world.store.leases.reclaim(worker, DIED, death(worker, task))
    assert world.status(task) == "cancelled"
    world.check()


def test_the_retry_after_a_death_waits_for_the_backoff_and_the_rest_of_its_batch_does_not(world: World) -> None:
    culprits, waits = [], []
    for _ in range(4):
        (a, b), worker = world.submit(2), world.worker()
        world.claim(worker, [a, b])
        world.store.leases.reclaim(worker, DIED, death(worker, a))
        culprits.append(a)
        waits.append(
            world.value("SELECT extract(epoch FROM due_at - now())::float8 FROM backlog WHERE task_id = %s", a)
        )
        assert world.value("SELECT due_at <= now() FROM backlog WHERE task_id = %s", b)
    # full jitter over [retry] base_seconds = 2
    assert all(-0.2 <= wait <= 2 for wait in waits)
    assert max(waits) > 0.1
    assert world.value("SELECT bool_and(publish_at = due_at) FROM backlog WHERE task_id = ANY (%s::uuid[])", culprits)
    # The retry of a known culprit gives way to all other tasks.
    assert world.value("SELECT max(priority) FROM backlog WHERE task_id = ANY (%s::uuid[])", culprits) == 0
    assert world.value("SELECT min(priority) FROM backlog WHERE task_id <> ALL (%s::uuid[])", culprits) == 5
    world.check()


def test_a_worker_is_reclaimed_once(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    assert len(world.store.leases.reclaim(worker, DIED) or []) == 1
    assert world.store.leases.reclaim(worker, DIED) is None
    assert world.store.leases.reclaim(uuid7(), DIED) is None
    assert world.value("SELECT losses FROM tasks") == 1


def test_only_a_worker_marked_dead_is_reclaimed(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    seen = world.heartbeat(worker)
    world.grow_old(worker, 0.000001)
    assert world.store.leases.reclaim(worker, DIED, seen=seen) is None
    assert world.status(task) == "in_progress"
    assert len(world.store.leases.reclaim(worker, DIED, seen=world.heartbeat(worker)) or []) == 1
    world.check()


def test_a_lease_of_a_worker_that_is_not_marked_is_not_taken_back(world: World) -> None:
    # the second statement alone: it checks the mark itself
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    with world.held_open() as held:
        held.open.skip("mark_dead", [(worker,)])
        assert held.leases.reclaim(worker, DIED) == []


def test_a_worker_that_retires_gives_back_unknown_leases(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    world.store.workers.retire(worker)
    assert (world.status(task), world.attempts(task)) == ("pending", 0)
    assert world.value("SELECT state = 'gone' AND dead_at IS NOT NULL FROM workers")
    world.check()


# --- effects


@pytest.mark.parametrize("ending", ["reclaimed", "culprit", "idle", "given back", "retired"])
def test_a_task_whose_effect_must_not_happen_twice_fails_without_an_answer(world: World, ending: str) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.mark_effect(lease, task, Effect.FAIL)
    end(world, ending, worker, lease, task)
    record, log = world.store.reads.task(task), world.store.reads.logs(task)[-1]
    assert (record.status, world.attempts(task), record.error["type"]) == ("failed", 1, "EffectUnknown")
    assert "effect had begun" in record.error["message"]
    assert (log.event, log.message) == ("failed", record.error["message"])
    world.check()


@pytest.mark.parametrize(("ending", "spent"), [("reclaimed", 0), ("culprit", 1), ("given back", 0), ("retired", 0)])
def test_a_task_whose_effect_may_happen_twice_is_retried(world: World, ending: str, spent: int) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.mark_effect(lease, task, Effect.RETRY)
    end(world, ending, worker, lease, task)
    assert (world.status(task), world.attempts(task)) == ("pending", spent)
    world.check()


def end(world: World, ending: str, worker: str, lease: str, task: str) -> None:
    """End a lease without an answer of the processor."""
    if ending == "given back":
        world.store.leases.give_back(lease)
    elif ending == "retired":
        world.store.workers.retire(worker)
    else:
        known = {"reclaimed": None, "culprit": death(worker, task), "idle": death(worker, idle=True)}
        world.store.leases.reclaim(worker, DIED, known[ending])


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize(
    ("kind", "status"), [(Kind.COMPLETED, "completed"), (Kind.RETRY, "pending"), (Kind.FAILED, "failed")]
)
def test_the_processors_own_answer_wins_over_the_mark(world: World, effect: Effect, kind: Kind, status: str) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.mark_effect(lease, task, effect)
    world.store.leases.finish(lease, settled([task], kind, '{"message": "mine"}'))
    record = world.store.reads.task(task)
    assert (record.status, record.result or record.error) == (status, {"message": "mine"})
    world.check()


def test_a_cancel_request_does_not_hide_an_unknown_effect(world: World) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.mark_effect(lease, task, Effect.FAIL)
    world.store.tasks.cancel([task])
    world.store.leases.reclaim(worker, DIED)
    assert world.status(task) == "failed"
    world.check()


def test_a_task_of_a_batch_cannot_begin_an_effect(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    with pytest.raises(LeaseLost):
        world.store.leases.mark_effect(lease, a, Effect.FAIL)
    assert world.value("SELECT effect IS NULL FROM leases")


def test_only_the_task_of_the_lease_can_begin_an_effect(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a])
    with pytest.raises(LeaseLost):
        world.store.leases.mark_effect(lease, b, Effect.FAIL)
    with pytest.raises(LeaseLost):
        world.store.leases.mark_effect(uuid7(), a, Effect.FAIL)


# --- reports of a running task


def test_progress_is_written_through_the_lease(world: World) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    log_id = world.store.leases.report(lease, task, 1, "progress", "info", "half", {"fraction": 0.5})
    row = world.store.reads.logs(task)[-1]
    assert (row.log_id, row.event, row.attempt, row.level, row.message, row.data, row.worker_id) == (
        log_id, "progress", 1, "info", "half", {"fraction": 0.5}, worker,
    )  # fmt: skip
    assert world.store.reads.task(task).progress == {"fraction": 0.5}


def test_no_report_is_written_for_a_task_outside_the_lease(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a])
    with pytest.raises(LeaseLost):
        world.store.leases.report(lease, b, 1, "log", "info", "x", None)
    assert world.events(b) == []


def test_no_report_is_written_through_an_ended_lease(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    gone = world.claim(worker, [task])
    world.store.leases.give_back(gone)
    world.claim(worker, [task])
    with pytest.raises(LeaseLost):
        world.store.leases.report(gone, task, 1, "log", "info", "x", None)


def test_the_progress_of_an_earlier_attempt_is_not_shown(world: World) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.report(lease, task, 1, "progress", "info", "half", {"fraction": 0.5})
    world.store.leases.finish(lease, settled([task], Kind.RETRY))
    world.claim(worker, [task])
    assert world.store.reads.task(task).progress is None
