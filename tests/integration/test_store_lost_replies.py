"""Calls of the store whose reply is lost after the commit: they return the same as with it, and happen once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import pytest

from dtqs.deadline import Deadline
from dtqs.errors import CommitUnknown, StoreUnavailable
from dtqs.settlement import Kind
from dtqs.store import Store
from dtqs.store.driver.connection import LimitedConnection
from dtqs.store.driver.database import Run
from dtqs.store.tasks import IdempotencyKey
from dtqs.task import NewTask
from dtqs.uuid7 import uuid7
from tests.support.fix_store import DIED, OpenStore, StoreOn, StrictDatabase, World

T = TypeVar("T")


class LosingDatabase(StrictDatabase):
    """Loses the replies of the next commits, or undoes the next transactions instead."""

    lost = undone = 0

    @contextmanager
    def _connection(self) -> Iterator[LimitedConnection]:
        with super()._connection() as connection:
            yield connection
            if self.lost:
                self.lost -= 1
                raise psycopg.OperationalError("the reply was lost")

    def transaction_once(self, work: Callable[[Run], T]) -> T:
        def undone(run: Run) -> T:
            result = work(run)
            if self.undone:
                self.undone -= 1
                raise psycopg.OperationalError("the connection was lost before the commit")
            return result

        return super().transaction_once(undone)


class Losing:
    def __init__(self, world: World) -> None:
        self.database = LosingDatabase(world.section, 1, "loses replies")
        self.store: Store = StoreOn(self.database, world.lease)


@pytest.fixture
def losing(world: World) -> Iterator[Losing]:
    one = Losing(world)
    one.store.start()
    yield one
    one.store.stop()


# --- reports


def test_a_report_whose_reply_is_lost_is_written_once(world: World, losing: Losing) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    before = world.value("SELECT count(*) FROM logs")

    def report(fraction: float, after: int = 0) -> int:
        data = {"fraction": fraction}
        return losing.store.leases.report(lease, task, 1, "progress", "info", "half", data, after)

    losing.database.lost = 1
    first = report(0.5)
    assert [one.log_id for one in world.store.reads.logs(task)][-1] == first
    assert world.value("SELECT count(*) FROM logs") == before + 1
    losing.database.lost = 1
    second = report(0.5, first)
    assert second > first, "the attempt has reported the same twice"
    losing.database.lost = 1
    assert report(0.6, second) > second
    assert world.value("SELECT count(*) FROM logs") == before + 3


@pytest.mark.parametrize(
    "other",
    [
        (2, "log", "info", "x", None),
        (1, "progress", "info", "x", None),
        (1, "log", "warning", "x", None),
        (1, "log", "info", "y", None),
        (1, "log", "info", "x", {"a": 1}),
    ],
)
def test_a_row_that_differs_is_not_taken_for_the_lost_one(world: World, losing: Losing, other: tuple[Any, ...]) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    known = world.store.leases.report(lease, task, *other)
    losing.database.lost = 1
    new = losing.store.leases.report(lease, task, 1, "log", "info", "x", None)
    assert new > known
    assert len(world.store.reads.logs(task)) == 2


def test_a_row_of_an_earlier_claim_is_not_taken_for_the_lost_one(
    world: World, losing: Losing, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,), worker = world.submit(), world.worker()
    gone = world.claim(worker, [task])
    row: tuple[Any, ...] = (task, 1, "log", "info", "begun", None)
    earlier = world.store.leases.report(gone, *row)
    world.store.leases.give_back(gone)
    lease = world.claim(worker, [task])

    def never_began(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(losing.database, "run_once", never_began)
    assert losing.store.leases.report(lease, *row) > earlier


def test_a_repeated_report_waits_for_the_first_one(world: World, held: OpenStore) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    row: tuple[Any, ...] = (lease, task, 1, "log", "info", "x", None)
    first = held.leases.report(*row)

    def again(store: Store) -> int:
        def lost(*_: object) -> None:
            raise StoreUnavailable("no reply")

        store.database.run_once = lost  # type: ignore[method-assign, assignment]
        return store.leases.report(*row)

    repeated = world.meet(again).waits()
    held.commit()
    assert repeated.result() == first
    assert world.events(task) == ["log"]


# --- reclaim and give back


def test_a_reclaim_whose_reply_is_lost_returns_its_tasks(world: World, losing: Losing) -> None:
    tasks, worker = world.submit(3), world.worker()
    world.claim(worker, tasks)
    losing.database.lost = 1
    refs = losing.store.leases.reclaim(worker, DIED)
    assert [(task_id, event) for _, task_id, event in refs or []] == [(task_id, "pending") for task_id in tasks]
    assert [ref[0] for ref in refs or []] == [world.store.reads.logs(task)[-1].log_id for task in tasks]
    assert losing.store.leases.reclaim(worker, DIED) is None
    world.check()


def test_a_later_call_returns_what_a_reclaim_without_repetition_did(world: World, losing: Losing) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    losing.database.lost = 1
    with pytest.raises(CommitUnknown):
        losing.store.leases.reclaim(worker, DIED, deadline=Deadline(0))
    assert [ref[1:] for ref in losing.store.leases.reclaim(worker, DIED, deadline=Deadline(0)) or []] == [
        (task, "pending")
    ]
    assert losing.store.leases.reclaim(worker, DIED, deadline=Deadline(0)) is None
    assert world.events(task) == ["pending"]


def test_a_reclaim_that_another_keeper_has_repeated_is_not_announced_twice(world: World, losing: Losing) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    once = losing.database.transaction_once

    def beaten(work: Callable[[Run], T]) -> T:
        try:
            return once(work)
        except StoreUnavailable:
            assert world.store.leases.reclaim(worker, DIED)
            raise

    losing.database.transaction_once = beaten  # type: ignore[method-assign]
    losing.database.undone = 1
    assert losing.store.leases.reclaim(worker, DIED) is None
    assert world.events(task) == ["pending"]


def test_a_dead_worker_without_leases_is_marked_although_the_reply_is_lost(world: World, losing: Losing) -> None:
    worker = world.worker()
    losing.database.lost = 1
    assert losing.store.leases.reclaim(worker, DIED) == []


def test_an_undone_reclaim_is_repeated(world: World, losing: Losing) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    losing.database.undone = 1
    assert len(losing.store.leases.reclaim(worker, DIED) or []) == 1
    assert world.events(task) == ["pending"]


def test_a_give_back_whose_reply_is_lost_returns_its_tasks(world: World, losing: Losing) -> None:
    tasks, worker = world.submit(2), world.worker()
    lease = world.claim(worker, tasks)
    losing.database.lost = 1
    assert [task_id for _, task_id, _ in losing.store.leases.give_back(lease)] == tasks
    assert losing.store.leases.give_back(lease) == []


# --- operations and submits


def test_a_cancel_whose_reply_is_lost_tells_what_it_did(world: World, losing: Losing) -> None:
    pending, running = world.submit(2)
    ended = world.submit()
    world.run(ended)
    world.claim(world.worker(), [running])
    losing.database.lost = 1
    done = {one.task_id: one for one in losing.store.tasks.cancel([pending, running, *ended])}
    assert {task_id: one.ended for task_id, one in done.items()} == {pending: True, running: False}
    assert done[pending].log_id == world.store.reads.logs(pending)[-1].log_id
    losing.database.lost = 1
    assert [one.task_id for one in losing.store.tasks.cancel([running])] == [running]
    assert losing.store.tasks.cancel([pending]) == []


def test_a_retry_whose_reply_is_lost_is_a_new_task(world: World, losing: Losing) -> None:
    (task,) = world.submit()
    world.run([task], Kind.FAILED)
    new_id = uuid7()
    losing.database.lost = 1
    new = losing.store.tasks.retry(task, new_id)
    assert (new.task_id, new.fresh, new.task_type) == (new_id, True, "echo")
    losing.database.lost = 1
    again = losing.store.tasks.retry(task, uuid7())
    assert (again.task_id, again.fresh) == (new_id, False)


def test_a_submit_with_a_key_whose_reply_is_lost_returns_its_tasks_for_their_hints(
    world: World, losing: Losing
) -> None:
    key = IdempotencyKey(uuid7(), "one", b"hash", 24)
    tasks = [NewTask(uuid7(), "echo", True, "{}") for _ in range(2)]
    losing.database.lost = 1
    ids, stored = losing.store.tasks.insert_once(tasks, key)
    assert ids == [task.task_id for task in tasks]
    assert sorted(one.task_id for one in stored) == sorted(ids)
    others = [NewTask(uuid7(), "echo", True, "{}") for _ in range(2)]
    losing.database.lost = 1
    assert losing.store.tasks.insert_once(others, key) == (ids, [])
