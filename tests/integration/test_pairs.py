"""Each pair of statements that can meet: one transaction is held open at the point that matters, the other runs into it (DESIGN.md section 4, Locks).

For each: who waits, the rows at the end, and law 3.
"""

from collections.abc import Iterator

import pytest

from dtqs.errors import LeaseLost
from dtqs.scoreboard import Death
from dtqs.settlement import Kind
from dtqs.store.backlog import LONG_AGO
from dtqs.task import Effect
from dtqs.uuid7 import uuid7
from tests.fix_store import DIED, REPORT, OpenStore, World, settled


@pytest.fixture
def held(world: World) -> Iterator[OpenStore]:
    with world.held_open() as store:
        yield store


# --- claim × claim


def test_claim_claim_the_second_waits_and_takes_nothing(world: World, held: OpenStore) -> None:
    (task,), first, second = world.submit(), world.worker(), world.worker()
    held.leases.claim(first, uuid7(), [task])
    other = world.meet(lambda store: store.leases.claim(second, uuid7(), [task])).waits()
    held.commit()
    assert other.result() == ([], [])
    assert world.leased_to(task) == [first]
    world.check()


def test_claim_claim_the_second_takes_what_the_first_left(world: World, held: OpenStore) -> None:
    (a, b), first, second = world.submit(2), world.worker(), world.worker()
    held.leases.claim(first, uuid7(), [a])
    other = world.meet(lambda store: store.leases.claim(second, uuid7(), [b, a])).waits()
    held.commit()
    assert [task.task_id for task in other.result()[0]] == [b]
    assert (world.leased_to(a), world.leased_to(b)) == ([first], [second])
    world.check()


def test_claim_claim_the_second_takes_all_when_the_first_rolls_back(world: World, held: OpenStore) -> None:
    (task,), first, second = world.submit(), world.worker(), world.worker()
    held.leases.claim(first, uuid7(), [task])
    other = world.meet(lambda store: store.leases.claim(second, uuid7(), [task])).waits()
    held.close()
    assert len(other.result()[0]) == 1
    assert world.leased_to(task) == [second]
    world.check()


def test_claim_claim_neither_locks_in_an_order_of_its_own(world: World, held: OpenStore) -> None:
    # the second names the tasks backwards: in the order of its hint it would lock c, then wait for a, and the first would wait for c
    (a, b, c), first, second = world.submit(3), world.worker(), world.worker()
    held.leases.claim(first, uuid7(), [a])
    other = world.meet(lambda store: store.leases.claim(second, uuid7(), [c, b, a])).waits()
    held.leases.claim(first, uuid7(), [b, c])
    held.commit()
    assert other.result() == ([], [])
    assert [world.leased_to(task) for task in (a, b, c)] == [[first]] * 3
    world.check()


# --- claim × reclaim


def test_claim_reclaim_a_claim_in_flight_is_waited_for_and_taken_back(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.leases.claim(worker, uuid7(), [task])
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED)).waits()
    held.commit()
    assert [ref[1:] for ref in reclaim.result() or []] == [(task, "pending")]
    assert (world.status(task), world.attempts(task)) == ("pending", 1)
    world.check()


def test_claim_reclaim_a_claim_that_waits_for_the_mark_takes_nothing(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.leases.reclaim(worker, DIED)
    claim = world.meet(lambda store: store.leases.claim(worker, uuid7(), [task])).waits()
    held.commit()
    assert claim.result() == ([], [])
    assert world.status(task) == "pending"
    world.check()


def test_claim_reclaim_a_worker_marked_dead_takes_nothing(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    world.store.leases.reclaim(worker, DIED)
    assert world.store.leases.claim(worker, uuid7(), [task]) == ([], [])
    world.check()


def test_claim_reclaim_of_another_worker_do_not_meet(world: World, held: OpenStore) -> None:
    (a, b), first, second = world.submit(2), world.worker(), world.worker()
    world.claim(first, [a])
    held.leases.reclaim(first, DIED)
    assert len(world.meet(lambda store: store.leases.claim(second, uuid7(), [b])).result()[0]) == 1
    held.commit()
    world.check()


def test_reclaim_reclaim_one_of_two_keepers_takes_back(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    held.leases.reclaim(worker, DIED)
    other = world.meet(lambda store: store.leases.reclaim(worker, DIED)).waits()
    held.commit()
    assert other.result() is None
    assert world.attempts(task) == 1
    world.check()


# --- claim × give back


def test_claim_give_back_what_comes_back_meanwhile_stays_in_the_backlog(world: World, held: OpenStore) -> None:
    # the trap: the waiting claim has its snapshot; the row that was given back since is invisible to it
    (task,), first, second = world.submit(), world.worker(), world.worker()
    lease = uuid7()
    held.leases.claim(first, lease, [task])
    other = world.meet(lambda store: store.leases.claim(second, uuid7(), [task])).waits()
    held.leases.give_back(lease)
    held.commit()
    assert other.result() == ([], [])
    assert (world.status(task), world.attempts(task)) == ("pending", 0)
    world.check()
    world.run([task])


def test_claim_give_back_a_claim_does_not_wait_for_a_give_back(world: World, held: OpenStore) -> None:
    (task,), first, second = world.submit(), world.worker(), world.worker()
    held.leases.give_back(world.claim(first, [task]))
    assert world.meet(lambda store: store.leases.claim(second, uuid7(), [task])).result() == ([], [])
    held.commit()
    assert world.status(task) == "pending"
    world.check()


# --- part of a batch × reclaim


def test_part_reclaim_a_part_in_flight_is_waited_for_and_its_rest_taken_back(world: World, held: OpenStore) -> None:
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
    # said again while the first, whose reply was lost, still runs
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    held.leases.finish_part(worker, lease, uuid7(), settled([a]), [b])
    again = world.meet(lambda store: store.leases.finish_part(worker, lease, uuid7(), settled([a]), [b])).waits()
    held.commit()
    assert again.result() == []
    assert world.statuses([a, b]) == ["completed", "in_progress"]
    world.check()


# --- far out × claim, far out × retry


def test_far_out_claim_a_claim_waits_and_takes_the_task(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.backlog.far_out(_published(world, [task]))
    claim = world.meet(lambda store: store.leases.claim(worker, uuid7(), [task])).waits()
    held.commit()
    assert len(claim.result()[0]) == 1
    world.check()


def test_far_out_claim_far_out_does_not_wait_for_a_claim(world: World, held: OpenStore) -> None:
    (a, b), worker = world.submit(2), world.worker()
    published = _published(world, [a, b])
    held.leases.claim(worker, uuid7(), [a])
    world.meet(lambda store: store.backlog.far_out(published)).result()
    held.commit()
    assert world.value("SELECT publish_at > now() + interval '5 min' FROM backlog WHERE task_id = %s", b)
    world.check()


def test_far_out_claim_a_hint_that_comes_again_does_not_put_off_what_was_not_confirmed(world: World) -> None:
    (task,) = world.submit()
    ((published, publish_at),) = _published(world, [task])
    world.rows("UPDATE backlog SET publish_at = publish_at + interval '1 us' RETURNING 1")
    world.store.backlog.far_out([(published, publish_at)])
    assert world.value("SELECT published_at IS NULL AND publish_at < now() + interval '5 min' FROM backlog")


def test_far_out_retry_the_new_row_of_a_retry_is_not_put_off(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    published = _published(world, [task])
    lease = world.claim(worker, [task])
    held.leases.finish(lease, settled([task], Kind.RETRY))
    world.meet(lambda store: store.backlog.far_out(published)).result()
    held.commit()
    world.store.backlog.far_out(published)
    assert world.value("SELECT published_at IS NULL AND publish_at < now() + interval '5 min' FROM backlog")
    world.check()


def test_far_out_retry_a_waiting_far_out_leaves_the_new_row_alone(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    published, lease = _published(world, [task]), uuid7()
    held.leases.claim(worker, lease, [task])
    held.leases.finish(lease, settled([task], Kind.RETRY))
    world.meet(lambda store: store.backlog.far_out(published)).result()
    held.commit()
    assert world.value("SELECT published_at IS NULL FROM backlog")
    world.check()


# --- finish × reclaim


def test_finish_reclaim_a_finish_in_flight_is_waited_for_and_stands(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.leases.finish(world.claim(worker, [task]), settled([task]))
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED)).waits()
    held.commit()
    assert reclaim.result() == []
    assert (world.status(task), world.attempts(task), world.events(task)) == ("completed", 1, ["completed"])
    world.check()


def test_finish_reclaim_a_finish_that_comes_late_changes_nothing(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.leases.reclaim(worker, DIED)
    finish = world.meet(lambda store: store.leases.finish(lease, settled([task]))).waits()
    held.commit()
    assert finish.result() == []
    assert (world.status(task), world.events(task)) == ("pending", ["pending"])
    world.check()


def test_finish_reclaim_a_finish_for_a_lease_of_before_does_not_touch_the_lease_of_now(world: World) -> None:
    # a give back leaves the number of attempts as it was: only the lease's id tells the two runs apart
    (task,), worker, other = world.submit(), world.worker(), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.give_back(lease)
    world.claim(other, [task])
    assert world.store.leases.finish(lease, settled([task], Kind.FAILED)) == []
    assert (world.status(task), world.leased_to(task)) == ("in_progress", [other])
    world.check()


def test_finish_finish_said_again_waits_for_the_first_and_writes_nothing(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.leases.finish(lease, settled([task], Kind.RETRY))
    again = world.meet(lambda store: store.leases.finish(lease, settled([task], Kind.RETRY))).waits()
    held.commit()
    assert again.result() == []
    assert world.attempts(task) == 1
    world.check()


def test_finish_reclaim_two_leases_lock_their_tasks_in_one_order(world: World, held: OpenStore) -> None:
    # the tasks of two leases interleave: taken back lease by lease, c would be locked before b, which the cancel holds while it asks for c
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


def test_cancel_claim_the_lock_alone_keeps_nobody_from_claiming(world: World, held: OpenStore) -> None:
    # between the two statements: the claim takes the backlog row, the second statement does not find it
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
    # the trap: in one statement the new backlog row would be invisible, and the task in the backlog though it is cancelled
    (task,), worker = world.submit(), world.worker()
    held.leases.finish(world.claim(worker, [task]), settled([task], Kind.RETRY, delay_seconds=60))
    cancel = world.meet(lambda store: store.tasks.cancel([task])).waits()
    held.commit()
    assert [(c.task_id, c.ended) for c in cancel.result()] == [(task, True)]
    assert (world.status(task), world.attempts(task)) == ("cancelled", 1)
    world.check()


@pytest.mark.parametrize("reclaimed", [False, True])
def test_cancel_give_back_what_comes_back_unspent_with_a_request_ends_as_cancelled(world: World, held: OpenStore, reclaimed: bool) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.tasks.cancel([task])
    idle = Death(worker, "exit status 1", None, idle=True)
    back = world.meet(lambda store: store.leases.reclaim(worker, DIED, idle) if reclaimed else store.leases.give_back(lease)).waits()
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


def test_cancel_finish_what_is_completed_after_the_request_is_completed(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.tasks.cancel([task])
    finish = world.meet(lambda store: store.leases.finish(lease, settled([task]))).waits()
    held.commit()
    assert [ref[2] for ref in finish.result()] == ["completed"]
    world.check()


def test_cancel_finish_of_several_tasks_is_no_deadlock(world: World, held: OpenStore) -> None:
    # the worker's own order would lock c before a, which the cancel holds while it asks for c
    (a, b, c), worker = world.submit(3), world.worker()
    lease = world.claim(worker, [c, b, a])
    held.run("cancel_lock", ids=f"{{{a}}}")
    finish = world.meet(lambda store: store.leases.finish(lease, settled([c, b, a]))).waits()
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


# --- relay × claim


def test_relay_claim_a_claim_waits_and_takes_the_task(world: World, held: OpenStore) -> None:
    # a claim that skipped what a relay has locked would lose the task's only hint
    (task,), worker = world.submit(), world.worker()
    world.make_due([task])
    assert len(held.backlog.relay(LONG_AGO, 10)[0]) == 1
    claim = world.meet(lambda store: store.leases.claim(worker, uuid7(), [task])).waits()
    held.commit()
    assert len(claim.result()[0]) == 1
    world.check()


def test_relay_claim_a_relay_skips_what_is_being_claimed(world: World, held: OpenStore) -> None:
    (a, b), worker = world.submit(2), world.worker()
    world.make_due([a, b])
    held.leases.claim(worker, uuid7(), [a])
    dues, _ = world.meet(lambda store: store.backlog.relay(LONG_AGO, 10)).result()
    held.commit()
    assert [due.task_id for due in dues] == [b]
    world.check()


def test_relay_relay_two_keepers_share_the_rows(world: World, held: OpenStore) -> None:
    tasks = world.submit(4)
    world.make_due(tasks)
    first, _ = held.backlog.relay(LONG_AGO, 2)
    second, _ = world.meet(lambda store: store.backlog.relay(LONG_AGO, 10)).result()
    held.commit()
    assert sorted(due.task_id for due in [*first, *second]) == tasks
    assert len(first) == 2


@pytest.mark.parametrize("verb", ["repair", "put off"])
def test_backlog_claim_what_only_touches_the_backlog_skips_what_is_being_claimed(world: World, held: OpenStore, verb: str) -> None:
    (a, b), worker = world.submit(2), world.worker()
    held.leases.claim(worker, uuid7(), [a])
    if verb == "repair":
        assert world.meet(lambda store: store.backlog.repair("00000000-0000-0000-0000-000000000000", 10, 0)).result() == (b, 1)
    else:
        world.meet(lambda store: store.backlog.put_off([a, b], 30)).result()
    held.commit()
    world.check()


# --- heartbeat × claim, heartbeat × mark dead


def test_heartbeat_claim_neither_waits_for_the_other(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.leases.claim(worker, uuid7(), [task])
    assert world.meet(lambda store: store.workers.beat(worker, REPORT)).result()
    held.commit()
    (other,) = world.submit()
    held.workers.beat(worker, REPORT)
    assert len(world.meet(lambda store: store.leases.claim(worker, uuid7(), [other])).result()[0]) == 1
    held.commit()
    world.check()


def test_heartbeat_part_neither_waits_for_the_other(world: World, held: OpenStore) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [a, b])
    held.workers.beat(worker, REPORT)
    assert len(world.meet(lambda store: store.leases.finish_part(worker, lease, uuid7(), settled([a]), [b])).result()) == 1
    held.commit()
    world.check()


def test_heartbeat_mark_dead_a_beat_in_flight_saves_the_worker(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    world.grow_old(worker)
    assert world.store.workers.stale(30) == [worker]
    held.workers.beat(worker, REPORT)
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED, age_seconds=30)).waits()
    held.commit()
    assert reclaim.result() is None
    assert world.status(task) == "in_progress"
    world.check()


def test_heartbeat_mark_dead_a_beat_that_comes_late_finds_itself_dead(world: World, held: OpenStore) -> None:
    worker = world.worker()
    world.grow_old(worker)
    assert held.leases.reclaim(worker, DIED, age_seconds=30) == []
    beat = world.meet(lambda store: store.workers.beat(worker, REPORT)).waits()
    held.commit()
    assert beat.result() is False
    assert world.value("SELECT state FROM workers WHERE id = %s", worker) == "gone"


def test_heartbeat_mark_dead_who_beats_again_between_look_and_mark_is_let_live(world: World) -> None:
    worker = world.worker()
    world.grow_old(worker)
    assert world.store.workers.stale(30) == [worker]
    assert world.store.workers.beat(worker, REPORT)
    assert world.store.leases.reclaim(worker, DIED, age_seconds=30) is None
    assert world.store.workers.beat(worker, REPORT)


# --- retire × claim


def test_retire_claim_a_claim_in_flight_is_waited_for_and_given_back(world: World, held: OpenStore) -> None:
    # its reply was lost, the worker knows nothing of it and leaves
    (task,), worker = world.submit(), world.worker()
    held.leases.claim(worker, uuid7(), [task])
    retire = world.meet(lambda store: store.workers.retire(worker)).waits()
    held.commit()
    retire.result()
    assert (world.status(task), world.attempts(task)) == ("pending", 0)
    world.check()


# --- what a running task writes × the end of its lease


def test_report_finish_the_log_has_the_order_of_its_commits(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    held.leases.report(lease, task, 1, "progress", "info", "half", {"fraction": 0.5})
    finish = world.meet(lambda store: store.leases.finish(lease, settled([task]))).waits()
    held.commit()
    finish.result()
    assert world.events(task) == ["progress", "completed"]


def test_report_finish_a_report_that_comes_late_is_refused(world: World, held: OpenStore) -> None:
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


def test_effect_reclaim_a_mark_that_comes_late_is_refused(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    held.leases.reclaim(worker, DIED)
    mark = world.meet(lambda store: store.leases.mark_effect(lease, task, Effect.FAIL)).waits()
    held.commit()
    with pytest.raises(LeaseLost):
        mark.result()
    assert world.status(task) == "pending"
    world.check()


def _published(world: World, task_ids: list[str]) -> list[tuple[str, str]]:
    """What a publisher remembers of tasks whose hints were confirmed."""
    return [(due.task_id, due.publish_at) for due in world.store.backlog.due(task_ids)]
