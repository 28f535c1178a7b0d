"""Pairs of statements of publishers: one transaction is held open, and the other meets it.

Each test checks the waiter, the rows at the end, and law 3 (DESIGN.md section 4, Locks).
"""

from dtqs.confirmed import Confirmed
from dtqs.settlement import Kind
from dtqs.store.backlog import LONG_AGO
from dtqs.uuid7 import uuid7
from tests.support.fix_store import OpenStore, World, confirmed, settled

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


def test_far_out_claim_a_repeated_hint_does_not_delay_an_unconfirmed_task(world: World) -> None:
    (task,) = world.submit()
    published = _published(world, [task])
    world.rows("UPDATE backlog SET publish_at = publish_at + interval '1 us' RETURNING 1")
    world.store.backlog.far_out(published)
    assert world.value("SELECT published_at IS NULL AND publish_at < now() + interval '5 min' FROM backlog")


def test_far_out_retry_the_new_row_of_a_retry_is_not_delayed(world: World, held: OpenStore) -> None:
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


# --- relay × claim


def test_relay_claim_a_claim_waits_and_takes_the_task(world: World, held: OpenStore) -> None:
    # a claim that skipped rows locked by a relay would lose the task's only hint
    (task,), worker = world.submit(), world.worker()
    world.make_due([task])
    assert len(held.backlog.relay(LONG_AGO, 10)[0]) == 1
    claim = world.meet(lambda store: store.leases.claim(worker, uuid7(), [task])).waits()
    held.commit()
    assert len(claim.result()[0]) == 1
    world.check()


def test_relay_claim_a_relay_skips_rows_that_are_being_claimed(world: World, held: OpenStore) -> None:
    (a, b), worker = world.submit(2), world.worker()
    world.make_due([a, b])
    held.leases.claim(worker, uuid7(), [a])
    dues, _, _ = world.meet(lambda store: store.backlog.relay(LONG_AGO, 10)).result()
    held.commit()
    assert [due.task_id for due in dues] == [b]
    world.check()


def test_relay_claim_a_relay_continues_with_a_row_whose_claim_failed(world: World, held: OpenStore) -> None:
    (a, b, c), worker = world.submit(3), world.worker()
    query = "UPDATE backlog SET publish_at = now() - array_position(%s::uuid[], task_id) * interval '1 s' RETURNING 1"
    world.rows(query, [c, b, a])
    held.leases.claim(worker, uuid7(), [a])
    dues, rest, _ = world.meet(lambda store: store.backlog.relay(LONG_AGO, 1)).result()
    held.open.connection.rollback()
    assert [due.task_id for due in dues] == [b]
    assert rest is not None
    assert [due.task_id for due in world.store.backlog.relay(rest, 1)[0]] == [a]


def test_relay_relay_two_keepers_share_the_rows(world: World, held: OpenStore) -> None:
    tasks = world.submit(4)
    world.make_due(tasks)
    first, _, _ = held.backlog.relay(LONG_AGO, 2)
    second, _, _ = world.meet(lambda store: store.backlog.relay(LONG_AGO, 10)).result()
    held.commit()
    assert sorted(due.task_id for due in [*first, *second]) == tasks
    assert len(first) == 2


def test_backlog_claim_a_look_at_tasks_that_were_left_tells_which_are_locked(world: World, held: OpenStore) -> None:
    (a, b, c), worker = world.submit(3), world.worker()
    world.claim(worker, [c])
    held.leases.claim(worker, uuid7(), [a])
    free, locked = world.meet(lambda store: store.backlog.due_and_free([a, b, c])).result()
    assert ([due.task_id for due in free], locked) == ([b], [a])
    held.commit()
    assert world.store.backlog.due_and_free([a, b, c]) == (world.store.backlog.due([b]), [])


def test_backlog_claim_a_repair_skips_rows_that_are_being_claimed(world: World, held: OpenStore) -> None:
    (a, b), worker = world.submit(2), world.worker()
    held.leases.claim(worker, uuid7(), [a])
    assert world.meet(lambda store: store.backlog.repair("00000000-0000-0000-0000-000000000000", 10, 0)).result() == (
        b,
        1,
    )
    held.commit()
    world.check()


def _published(world: World, task_ids: list[str]) -> list[Confirmed]:
    """Return what a publisher remembers of confirmed hints."""
    return confirmed(world.store.backlog.due(task_ids))
