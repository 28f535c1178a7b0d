"""Pairs of statements that end a lease: one transaction is held open, and the other meets it.

Each test checks the waiter, the rows at the end, and law 3 (DESIGN.md section 4, Locks).
"""

import pytest

from dtqs.errors import LeaseLost
from dtqs.settlement import Kind
from dtqs.task import Effect
from dtqs.uuid7 import uuid7
from tests.support.fix_store import DIED, OpenStore, World, settled

# --- part of a batch × reclaim


def test_part_reclaim_a_reclaim_waits_for_a_part_and_takes_back_the_rest(world: World, held: OpenStore) -> None:
    (a, b, c), worker = world.submit(3), world.worker()
    lease = world.claim(worker, [a, b, c])
    held.leases.finish_part(worker, lease, uuid7(), settled([a]), [b, c])
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED)).waits()
    held.commit()
    assert sorted(ref[1] for ref in reclaim.result() or []) == [b, c]
    assert world.statuses([a, b, c]) == ["completed", "pending", "pending"]
    world.check()


def test_part_reclaim_a_part_that_waits_for_the_mark_does_nothing(world: World, held: OpenStore) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    held.leases.reclaim(worker, DIED)
    part = world.meet(lambda store: store.leases.finish_part(worker, lease, uuid7(), settled([a]), [b])).waits()
    held.commit()
    assert part.result() == []
    assert world.statuses([a, b]) == ["pending", "pending"]
    world.check()


def test_part_part_the_second_does_nothing(world: World, held: OpenStore) -> None:
    # the repetition of a part whose reply was lost and which still runs
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    held.leases.finish_part(worker, lease, uuid7(), settled([a]), [b])
    again = world.meet(lambda store: store.leases.finish_part(worker, lease, uuid7(), settled([a]), [b])).waits()
    held.commit()
    assert again.result() == []
    assert world.statuses([a, b]) == ["completed", "in_progress"]
    world.check()


# --- finish × reclaim


def test_finish_reclaim_a_reclaim_waits_for_a_finish_which_stands(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.leases.finish(world.claim(worker, [task]), settled([task]))
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED)).waits()
    held.commit()
    assert reclaim.result() == []
    assert (world.status(task), world.attempts(task), world.events(task)) == ("completed", 1, ["completed"])
    world.check()


def test_finish_reclaim_a_late_finish_changes_nothing(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.leases.reclaim(worker, DIED)
    finish = world.meet(lambda store: store.leases.finish(lease, settled([task]))).waits()
    held.commit()
    assert finish.result() == []
    assert (world.status(task), world.events(task)) == ("pending", ["pending"])
    world.check()


def test_finish_reclaim_a_finish_of_an_earlier_lease_does_not_touch_the_present_one(world: World) -> None:
    # a give back leaves the number of attempts unchanged: only the lease's id distinguishes the two claims
    (task,), worker, other = world.submit(), world.worker(), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.give_back(lease)
    world.claim(other, [task])
    assert world.store.leases.finish(lease, settled([task], Kind.FAILED)) == []
    assert (world.status(task), world.leased_to(task)) == ("in_progress", [other])
    world.check()


def test_finish_finish_a_repeated_finish_waits_for_the_first_and_writes_nothing(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.leases.finish(lease, settled([task], Kind.RETRY))
    again = world.meet(lambda store: store.leases.finish(lease, settled([task], Kind.RETRY))).waits()
    held.commit()
    assert again.result() == []
    assert world.attempts(task) == 1
    world.check()


def test_finish_reclaim_a_late_finish_of_a_few_changes_nothing(world: World, held: OpenStore) -> None:
    tasks, worker = world.submit(2), world.worker()
    lease = world.claim(worker, tasks)
    held.leases.reclaim(worker, DIED)
    finish = world.meet(lambda store: store.leases.complete_few(lease, settled(tasks))).waits()
    held.commit()
    assert finish.result() == ([], [])
    assert world.statuses(tasks) == ["pending"] * 2
    world.check()


def test_finish_finish_a_repeated_finish_of_a_few_waits_and_carries_nothing(world: World, held: OpenStore) -> None:
    tasks, worker = world.submit(2), world.worker()
    lease = world.claim(worker, tasks)
    assert len(held.leases.complete_few(lease, settled(tasks))[1]) == 2
    again = world.meet(lambda store: store.leases.complete_few(lease, settled(tasks))).waits()
    held.commit()
    assert again.result() == ([], [])
    assert [world.attempts(task) for task in tasks] == [1, 1]
    world.check()


def test_finish_cancel_a_finish_of_a_few_waits_for_the_request_and_completes(world: World, held: OpenStore) -> None:
    tasks, worker = world.submit(2), world.worker()
    lease = world.claim(worker, tasks)
    held.tasks.cancel(tasks)
    finish = world.meet(lambda store: store.leases.complete_few(lease, settled(tasks))).waits()
    held.commit()
    assert len(finish.result()[1]) == 2
    assert world.statuses(tasks) == ["completed"] * 2
    world.check()


def test_finish_reclaim_two_leases_lock_their_tasks_in_one_order(world: World, held: OpenStore) -> None:
    # The tasks of two leases interleave. A reclaim lease by lease would lock c before b,
    # and the cancel holds b while it asks for c.
    (a, b, c, d), worker = world.submit(4), world.worker()
    world.claim(worker, [a, c])
    world.claim(worker, [d, b])
    held.run("cancel_lock", ids=f"{{{b}}}")
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED)).waits()
    held.tasks.cancel([b, c])
    held.commit()
    assert len(reclaim.result() or []) == 4
    assert world.statuses([a, b, c, d]) == ["pending", "cancelled", "cancelled", "pending"]
    world.check()


# --- reports of a running task × the end of its lease


def test_report_finish_the_log_has_the_order_of_its_commits(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.leases.report(lease, task, 1, "progress", "info", "half", {"fraction": 0.5})
    finish = world.meet(lambda store: store.leases.finish(lease, settled([task]))).waits()
    held.commit()
    finish.result()
    assert world.events(task) == ["progress", "completed"]


def test_report_finish_a_late_report_is_refused(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.leases.finish(lease, settled([task]))
    report = world.meet(lambda store: store.leases.report(lease, task, 1, "progress", "info", "half", None)).waits()
    held.commit()
    with pytest.raises(LeaseLost):
        report.result()
    assert world.events(task) == ["completed"]


def test_effect_reclaim_a_mark_in_flight_is_obeyed(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    held.leases.mark_effect(lease, task, Effect.FAIL)
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED)).waits()
    held.commit()
    assert [ref[2] for ref in reclaim.result() or []] == ["failed"]
    world.check()


def test_effect_reclaim_a_late_mark_is_refused(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    held.leases.reclaim(worker, DIED)
    mark = world.meet(lambda store: store.leases.mark_effect(lease, task, Effect.FAIL)).waits()
    held.commit()
    with pytest.raises(LeaseLost):
        mark.result()
    assert world.status(task) == "pending"
    world.check()
