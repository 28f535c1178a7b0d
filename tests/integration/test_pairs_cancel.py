"""Pairs of statements with a cancel: one transaction is held open, and the other meets it.

Each test checks the waiter, the rows at the end, and law 3 (DESIGN.md section 4, Locks).
"""

import pytest

from dtqs.scoreboard import Death
from dtqs.settlement import Kind
from dtqs.store.backlog import FIRST_ID
from dtqs.uuid7 import uuid7
from tests.support.fix_store import DIED, OpenStore, World, settled

# --- cancel × claim


def test_cancel_claim_a_cancel_in_flight_wins(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.tasks.cancel([task])
    claim = world.meet(lambda store: store.leases.claim(worker, uuid7(), [task])).waits()
    held.commit()
    assert claim.result() == ([], [])
    assert (world.status(task), world.attempts(task)) == ("cancelled", 0)
    world.check()


def test_cancel_claim_a_claim_in_flight_wins_and_the_cancel_leaves_a_request(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = uuid7()
    held.leases.claim(worker, lease, [task])
    cancel = world.meet(lambda store: store.tasks.cancel([task])).waits()
    held.commit()
    assert [(c.task_id, c.ended) for c in cancel.result()] == [(task, False)]
    assert world.status(task) == "in_progress"
    assert [h.cancel_requested for h in world.store.leases.held(worker)] == [(task,)]
    world.check()
    world.store.leases.finish(lease, settled([task], Kind.RETRY))
    assert (world.status(task), world.attempts(task)) == ("cancelled", 1)
    world.check()


def test_cancel_claim_the_lock_alone_prevents_no_claim(world: World, held: OpenStore) -> None:
    # between the two statements the claim takes the backlog row, and the second statement does not find it
    (task,), worker = world.submit(), world.worker()
    held.run("cancel_lock", ids=f"{{{task}}}")
    assert len(world.meet(lambda store: store.leases.claim(worker, uuid7(), [task])).result()[0]) == 1
    assert [c.ended for c in held.tasks.cancel([task])] == [False]
    held.commit()
    assert world.status(task) == "in_progress"
    world.check()


def test_cancel_cancel_of_the_same_tasks_in_another_order_is_no_deadlock(world: World, held: OpenStore) -> None:
    a, b, c = world.submit(3)
    held.run("cancel_lock", ids=f"{{{a}}}")
    other = world.meet(lambda store: store.tasks.cancel([c, b, a])).waits()
    held.tasks.cancel([a, b, c])
    held.commit()
    assert other.result() == []
    assert [world.events(task) for task in (a, b, c)] == [["cancelled"]] * 3
    world.check()


# --- cancel × retry


def test_cancel_retry_a_retry_waits_for_the_cancel_and_ends_as_cancelled(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.run("cancel_lock", ids=f"{{{task}}}")
    retry = world.meet(lambda store: store.leases.finish(lease, settled([task], Kind.RETRY))).waits()
    assert [c.ended for c in held.tasks.cancel([task])] == [False]
    held.commit()
    assert [ref[2] for ref in retry.result()] == ["cancelled"]
    assert world.status(task) == "cancelled"
    world.check()


def test_cancel_retry_a_cancel_waits_for_the_retry_and_sees_its_new_row(world: World, held: OpenStore) -> None:
    # the trap: one statement would not see the new backlog row, and a cancelled task would stay in the backlog
    (task,), worker = world.submit(), world.worker()
    held.leases.finish(world.claim(worker, [task]), settled([task], Kind.RETRY, delay_seconds=60))
    cancel = world.meet(lambda store: store.tasks.cancel([task])).waits()
    held.commit()
    assert [(c.task_id, c.ended) for c in cancel.result()] == [(task, True)]
    assert (world.status(task), world.attempts(task)) == ("cancelled", 1)
    world.check()


@pytest.mark.parametrize("reclaimed", [False, True])
def test_cancel_give_back_a_task_given_back_with_a_request_ends_as_cancelled(
    world: World, held: OpenStore, reclaimed: bool
) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.tasks.cancel([task])
    idle = Death(worker, "exit status 1", None, idle=True)
    back = world.meet(
        lambda store: store.leases.reclaim(worker, DIED, idle) if reclaimed else store.leases.give_back(lease)
    ).waits()
    held.commit()
    assert [ref[2] for ref in back.result() or []] == ["cancelled"]
    assert (world.status(task), world.attempts(task)) == ("cancelled", 0)
    world.check()


# --- cancel × finish


def test_cancel_finish_an_outcome_in_flight_stands(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.leases.finish(world.claim(worker, [task]), settled([task]))
    cancel = world.meet(lambda store: store.tasks.cancel([task])).waits()
    held.commit()
    assert cancel.result() == []
    assert (world.status(task), world.events(task)) == ("completed", ["completed"])
    assert world.value("SELECT cancel_requested_at IS NULL FROM tasks")
    world.check()


def test_cancel_finish_a_task_completed_after_the_request_is_completed(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.tasks.cancel([task])
    finish = world.meet(lambda store: store.leases.finish(lease, settled([task]))).waits()
    held.commit()
    assert [ref[2] for ref in finish.result()] == ["completed"]
    world.check()


@pytest.mark.parametrize(
    "order", [1, -1], ids=["by the statement for completed tasks alone", "in another order than their ids'"]
)
def test_cancel_finish_of_several_tasks_is_no_deadlock(world: World, held: OpenStore, order: int) -> None:
    # another order would lock c before a, and the cancel holds a while it asks for c
    (a, b, c), worker = world.submit(3), world.worker()
    lease = world.claim(worker, [c, b, a])
    held.run("cancel_lock", ids=f"{{{a}}}")
    finish = world.meet(lambda store: store.leases.finish(lease, settled([a, b, c][::order]))).waits()
    held.tasks.cancel([a, b, c])
    held.commit()
    assert len(finish.result()) == 3
    assert world.statuses([a, b, c]) == ["completed"] * 3
    world.check()


def test_cancel_part_of_several_tasks_is_no_deadlock(world: World, held: OpenStore) -> None:
    (a, b, c), worker = world.submit(3), world.worker()
    lease = world.claim(worker, [c, b, a])
    held.run("cancel_lock", ids=f"{{{a}}}")
    part = world.meet(lambda store: store.leases.finish_part(worker, lease, uuid7(), settled([c, a]), [b])).waits()
    held.tasks.cancel([a, b, c])
    held.commit()
    assert len(part.result()) == 2
    assert world.statuses([a, b, c]) == ["completed", "in_progress", "completed"]
    world.check()


def test_cancel_prune_a_cancel_locks_no_task_that_has_an_outcome(world: World, held: OpenStore) -> None:
    (task,) = world.submit()
    world.run([task])
    assert held.tasks.cancel([task]) == []
    world.meet(
        lambda store: store.database.run(
            "prune_tasks", {"after": FIRST_ID, "before": uuid7(), "days": 0.0, "limit": 10}
        )
    ).result()
    assert world.value("SELECT count(*) FROM tasks") == 0
