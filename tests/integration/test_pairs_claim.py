"""Pairs of statements with a claim: one transaction is held open, and the other meets it.

Each test checks the waiter, the rows at the end, and law 3 (DESIGN.md section 4, Locks).
"""

from dtqs.uuid7 import uuid7
from tests.support.fix_store import DIED, REPORT, OpenStore, World, settled

# --- claim × claim


def test_claim_claim_the_second_waits_and_takes_nothing(world: World, held: OpenStore) -> None:
    (task,), first, second = world.submit(), world.worker(), world.worker()
    held.leases.claim(first, uuid7(), [task])
    other = world.meet(lambda store: store.leases.claim(second, uuid7(), [task])).waits()
    held.commit()
    assert other.result() == ([], [])
    assert world.leased_to(task) == [first]
    world.check()


def test_claim_claim_the_second_takes_the_rest(world: World, held: OpenStore) -> None:
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


def test_claim_claim_both_lock_in_the_order_of_ids(world: World, held: OpenStore) -> None:
    # The second names the tasks backwards. In the order of its hint it would lock c and then wait for a,
    # while the first waits for c.
    (a, b, c), first, second = world.submit(3), world.worker(), world.worker()
    held.leases.claim(first, uuid7(), [a])
    other = world.meet(lambda store: store.leases.claim(second, uuid7(), [c, b, a])).waits()
    held.leases.claim(first, uuid7(), [b, c])
    held.commit()
    assert other.result() == ([], [])
    assert [world.leased_to(task) for task in (a, b, c)] == [[first]] * 3
    world.check()


def test_claim_claim_one_that_waits_for_nothing_takes_the_free_tasks(world: World, held: OpenStore) -> None:
    (a, b), first, second = world.submit(2), world.worker(), world.worker()
    held.leases.claim(first, uuid7(), [a])
    other = world.meet(lambda store: store.leases.claim(second, uuid7(), [b, a], waits=False))
    assert [task.task_id for task in other.result()[0]] == [b]
    held.commit()
    assert (world.leased_to(a), world.leased_to(b)) == ([first], [second])
    world.check()


def test_claim_put_off_one_that_waits_for_nothing_changes_the_free_tasks(world: World, held: OpenStore) -> None:
    (a, b), worker = world.submit(2), world.worker()
    held.leases.claim(worker, uuid7(), [a])
    other = world.meet(lambda store: store.backlog.put_off([a, b], "echo", 1.0, waits=False))
    assert other.result() == [b]
    held.commit()
    world.check()


# --- claim × reclaim


def test_claim_reclaim_a_reclaim_waits_for_a_claim_and_takes_it_back(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.leases.claim(worker, uuid7(), [task])
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED)).waits()
    held.commit()
    assert [ref[1:] for ref in reclaim.result() or []] == [(task, "pending")]
    assert (world.status(task), world.value("SELECT losses FROM tasks")) == ("pending", 1)
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
    for waits in (True, False):
        assert world.store.leases.claim(worker, uuid7(), [task], waits) == ([], [])
    world.check()


def test_claim_reclaim_a_reclaim_of_another_worker_does_not_wait(world: World, held: OpenStore) -> None:
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
    assert world.value("SELECT losses FROM tasks") == 1
    world.check()


# --- claim × give back


def test_claim_give_back_a_row_given_back_during_the_wait_stays_in_the_backlog(world: World, held: OpenStore) -> None:
    # the trap: the waiting claim keeps its snapshot and does not see the row given back since
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


# --- retire × claim


def test_retire_claim_a_retirement_waits_for_a_claim_and_gives_it_back(world: World, held: OpenStore) -> None:
    # its reply was lost: the worker does not know of it and leaves
    (task,), worker = world.submit(), world.worker()
    held.leases.claim(worker, uuid7(), [task])
    retire = world.meet(lambda store: store.workers.retire(worker)).waits()
    held.commit()
    assert [(task_id, event) for _, task_id, event in retire.result()] == [(task, "pending")]
    assert (world.status(task), world.attempts(task)) == ("pending", 0)
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
    assert (
        len(world.meet(lambda store: store.leases.finish_part(worker, lease, uuid7(), settled([a]), [b])).result()) == 1
    )
    held.commit()
    world.check()


def test_heartbeat_mark_dead_a_beat_in_flight_saves_the_worker(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    seen = world.heartbeat(worker)
    held.workers.beat(worker, REPORT)
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED, seen=seen)).waits()
    held.commit()
    assert reclaim.result() is None
    assert world.status(task) == "in_progress"
    world.check()


def test_heartbeat_mark_dead_a_late_beat_finds_itself_dead(world: World, held: OpenStore) -> None:
    worker = world.worker()
    assert held.leases.reclaim(worker, DIED, seen=world.heartbeat(worker)) == []
    beat = world.meet(lambda store: store.workers.beat(worker, REPORT)).waits()
    held.commit()
    assert beat.result() is False
    assert world.value("SELECT state FROM workers WHERE id = %s", worker) == "gone"


def test_heartbeat_mark_dead_a_worker_that_beats_between_look_and_mark_lives(world: World) -> None:
    worker = world.worker()
    seen = world.heartbeat(worker)
    assert world.store.workers.beat(worker, REPORT)
    assert world.store.leases.reclaim(worker, DIED, seen=seen) is None
    assert world.store.workers.beat(worker, REPORT)


def test_vouch_mark_dead_a_worker_vouched_for_between_look_and_mark_lives(world: World, held: OpenStore) -> None:
    worker = world.worker()
    seen = world.heartbeat(worker)
    assert list(held.workers.vouch({worker: seen})) == [worker]
    reclaim = world.meet(lambda store: store.leases.reclaim(worker, DIED, seen=seen)).waits()
    held.commit()
    assert reclaim.result() is None
    assert world.store.workers.vouch({worker: seen}) == {}


def test_vouch_mark_dead_no_node_can_vouch_for_a_dead_worker(world: World) -> None:
    worker = world.worker()
    seen = world.heartbeat(worker)
    assert world.store.leases.reclaim(worker, DIED, seen=seen) == []
    assert world.store.workers.vouch({worker: seen}) == {}


def test_vouch_mark_dead_a_locked_row_keeps_no_other_worker_from_its_heartbeat(world: World, held: OpenStore) -> None:
    locked, free = world.worker(), world.worker()
    seen = {worker: world.heartbeat(worker) for worker in (locked, free)}
    assert held.run("mark_dead", worker_id=locked, seen=None)
    assert list(world.meet(lambda store: store.workers.vouch(seen)).result()) == [free]
    held.open.connection.rollback()
    assert list(world.store.workers.vouch(seen)) == [locked], "the next turn tries it again"


def test_vouch_claim_neither_waits_for_the_other(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    held.workers.vouch({worker: world.heartbeat(worker)})
    assert len(world.meet(lambda store: store.leases.claim(worker, uuid7(), [task])).result()[0]) == 1
    held.commit()
    world.check()
