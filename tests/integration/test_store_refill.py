"""The refill of a lost queue, which one of all processes does that miss it."""

import time

import pytest

from dtqs.errors import StoreUnavailable
from dtqs.routes import NO_ROUTES, QUEUE
from dtqs.store import refill
from dtqs.store.backlog import LONG_AGO
from dtqs.store.driver.connection import Row
from dtqs.store.refill import Refills
from tests.support.fix_store import World, confirmed


def refills(world: World, process_id: str) -> Refills:
    return Refills(world.store.backlog, world.store.queues, NO_ROUTES, process_id)


def note_loss(*processes: Refills, missed_seconds: float = 0.05, ago_seconds: float = 0.0) -> None:
    """Let processes miss a queue, and declare it this long afterwards; both some time ago."""
    now = time.monotonic() - ago_seconds
    for process in processes:
        process.lost(QUEUE, now - missed_seconds, now)


def publish(world: World) -> int:
    """Let the relay publish what is due, with confirms. Return the number of tasks."""
    dues, _, _ = world.store.backlog.relay(LONG_AGO, 1000)
    if dues:
        world.store.backlog.far_out(confirmed(dues))
    return len(dues)


def published(world: World, count: int) -> None:
    """Store tasks whose hints were confirmed."""
    world.make_due(world.submit(count))
    assert publish(world) == count


def finish(process: Refills) -> None:
    for _ in range(100):
        if not process.step():
            return
    raise AssertionError("the refill does not end")


@pytest.fixture(autouse=True)
def small_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.execute("DELETE FROM settings WHERE name LIKE 'refill %'")  # the refill of another test would cover the loss
    monkeypatch.setattr(refill, "BATCH", 2)
    monkeypatch.setattr(refill, "_ASK_SECONDS", 0.0)


def test_one_of_all_processes_that_miss_a_queue_refills_it(world: World) -> None:
    published(world, 5)
    processes = [refills(world, f"p{number}") for number in range(4)]
    note_loss(*processes)
    finish(processes[0])
    assert publish(world) == 5
    for process in processes[1:]:
        assert not process.step()
        assert not process.has(QUEUE)
    assert publish(world) == 0


def test_a_refill_leaves_out_what_was_published_since_the_loss(world: World) -> None:
    published(world, 3)
    world.execute("UPDATE backlog SET published_at = published_at - interval '1 minute'")
    process = refills(world, "p")
    note_loss(process, ago_seconds=30)
    published(world, 2)
    finish(process)
    assert publish(world) == 3


def test_a_refill_finds_hints_that_were_confirmed_before_the_loss_and_put_off_after_it(world: World) -> None:
    task_ids, process, now = world.submit(3), refills(world, "p"), time.monotonic()
    world.execute("UPDATE backlog SET publish_at = publish_at - interval '2 s'")
    dues = world.store.backlog.due(task_ids)
    process.lost(QUEUE, now - 1.0, now - 1.0)
    world.store.backlog.far_out(confirmed(dues))
    finish(process)
    assert publish(world) == 3


def test_a_refill_that_a_dead_process_left_hides_no_later_loss(world: World) -> None:
    now, process = time.monotonic(), refills(world, "p")
    published(world, 3)
    note_loss(process, missed_seconds=0.0)
    process.lost(QUEUE, now, now)
    finish(process)
    assert publish(world) == 3
    published(world, 2)
    note_loss(process, missed_seconds=0.0)
    assert process.step()
    process.lost(QUEUE, now, now)
    finish(process)
    assert publish(world) == 5


def test_a_queue_that_is_lost_again_is_refilled_again(world: World) -> None:
    published(world, 3)
    for process in (refills(world, "one"), refills(world, "other")):
        note_loss(process, missed_seconds=0.0)
        finish(process)
        assert publish(world) == 3


def test_a_second_loss_during_a_refill_begins_it_anew(world: World) -> None:
    published(world, 6)
    process = refills(world, "p")
    note_loss(process)
    assert process.step()
    assert publish(world) == 2
    note_loss(process)
    finish(process)
    assert publish(world) == 6


def test_a_process_waits_for_the_one_that_refills_and_goes_on_if_that_dies(world: World) -> None:
    published(world, 6)
    first, second = refills(world, "first"), refills(world, "second")
    note_loss(first, second)
    assert first.step()
    assert not second.step()
    assert second.has(QUEUE)
    assert publish(world) == 2
    assert world.store.queues.left_refills([QUEUE]) == []
    world.rows("UPDATE settings SET updated_at = now() - interval '11 s' WHERE name LIKE 'refill %%' RETURNING 1")
    ((queue, seconds),) = world.store.queues.left_refills([QUEUE, "other"])
    assert queue == QUEUE
    assert 0 <= seconds < 10
    assert second.step()
    assert not first.step(), "it is not dead after all, and another one has its refill"
    finish(second)
    assert publish(world) == 4
    assert not first.step()
    assert not first.has(QUEUE)
    world.rows("UPDATE settings SET updated_at = now() - interval '11 s' WHERE name LIKE 'refill %%' RETURNING 1")
    assert world.store.queues.left_refills([QUEUE]) == [], "it has ended"


def test_a_refill_by_a_clock_that_was_stepped_back_since_covers_nothing(world: World) -> None:
    published(world, 2)
    first, second = refills(world, "first"), refills(world, "second")
    note_loss(first)
    finish(first)
    world.rows(
        "UPDATE settings SET value = value || jsonb_build_object('cut', (now() + interval '1 h')::text) "
        "WHERE name LIKE 'refill %%' RETURNING 1"
    )
    note_loss(second)
    finish(second)
    assert publish(world) == 2


def test_a_locked_refill_holds_up_a_process_once_a_second_and_for_one_statement(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker writes its heartbeats between two steps."""
    published(world, 3)
    monkeypatch.setattr(refill, "_ASK_SECONDS", 60.0)
    process, asked = refills(world, "p"), list[str]()

    def fails(name: str, *_: object) -> list[Row]:
        asked.append(name)
        raise StoreUnavailable("PostgreSQL: statement timeout")

    note_loss(process)
    with monkeypatch.context() as patch:
        patch.setattr(world.store.database, "run_once", fails)
        with pytest.raises(StoreUnavailable):
            process.step()
        assert not process.step()
    assert asked == ["take_refill"]
    assert process.has(QUEUE)
