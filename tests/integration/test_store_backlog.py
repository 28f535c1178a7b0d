"""The backlog as publishers use it: relay and its mark, far out, put off, repair, and hints of due tasks."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from dtqs.settlement import Kind
from dtqs.store.backlog import FIRST_ID, LONG_AGO, Counts
from dtqs.store.workers import WorkerIdentity
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World, confirmed


def wait_of(world: World, task_id: str) -> float:
    """Return the seconds until the task is published (again)."""
    return float(
        world.value("SELECT extract(epoch FROM publish_at - now())::float8 FROM backlog WHERE task_id = %s", task_id)
    )


def set_publish(world: World, task_id: str, seconds_ago: float) -> None:
    world.rows(
        "UPDATE backlog SET publish_at = now() - %s * interval '1 s' WHERE task_id = %s RETURNING 1",
        seconds_ago,
        task_id,
    )


def set_published(world: World, task_id: str, seconds_ago: float) -> None:
    query = (
        "UPDATE backlog SET publish_at = now() + interval '10 min', published_at = now() - %s * interval '1 s' WHERE "
        "task_id = %s RETURNING 1"
    )
    world.rows(query, seconds_ago, task_id)


# --- relay


def test_a_relay_takes_only_rows_due_for_publishing(world: World) -> None:
    due, fresh = world.submit(2, priority=7, task_type="image", light=False)
    (later,) = world.submit(delay_seconds=60.0)
    set_publish(world, due, 1)
    (row,), rest, _ = world.store.backlog.relay(LONG_AGO, 10)
    assert (row.task_id, row.task_type, row.light, row.priority, rest) == (due, "image", False, 7, None)
    assert [wait_of(world, task) > 0 for task in (due, fresh, later)] == [True] * 3
    assert world.rows("SELECT task_id::text FROM backlog WHERE published_at IS NOT NULL") == [(due,)]


def test_a_relay_returns_the_time_that_far_out_needs(world: World) -> None:
    (task,) = world.submit()
    set_publish(world, task, 1)
    (row,), _, _ = world.store.backlog.relay(LONG_AGO, 10)
    world.store.backlog.far_out(confirmed([row]))
    assert wait_of(world, task) > 500


def test_a_relay_publishes_with_growing_delays_up_to_far_out(world: World) -> None:
    (task,) = world.submit()
    waits = []
    for _ in range(9):
        set_publish(world, task, 1)
        world.store.backlog.relay(LONG_AGO, 10)
        waits.append(round(wait_of(world, task)))
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]


def long_wait(world: World, waited: str, since_publish: str, publishes: int = 0) -> str:
    """Submit a task that was due this long ago, with a confirmed hint, and that the relay looks at now."""
    (task,) = world.submit()
    world.rows(
        "UPDATE backlog SET due_at = now() - %s::interval, published_at = now() - %s::interval, publish_at = now(), "
        "publishes = %s WHERE task_id = %s RETURNING 1",
        waited,
        since_publish,
        publishes,
        task,
    )
    return task


def test_a_task_with_a_confirmed_hint_rests_until_it_has_waited_four_times_as_long(world: World) -> None:
    resting = [long_wait(world, *times) for times in (("39 min", "29 min"), ("20 h", "14 h"), ("9 d", "23 h"))]
    ends = (("605 s", "600 s"), ("41 min", "31 min"), ("9 d", "25 h"), ("1 min", "-1 min"))
    due = [long_wait(world, *times) for times in ends]
    dues, _, taken = world.store.backlog.relay(LONG_AGO, 10)
    assert {row.task_id for row in dues} == set(due)
    assert taken == 7
    assert [wait_of(world, task) for task in resting] == [pytest.approx(600, abs=2)] * 3, "readings look no further"
    assert world.value("SELECT count(*) FROM backlog WHERE publishes > 0") == 4


def test_a_task_without_a_confirmed_hint_never_rests(world: World) -> None:
    task = long_wait(world, "20 h", "1 min", publishes=1)
    assert [row.task_id for row in world.store.backlog.relay(LONG_AGO, 10)[0]] == [task]


def test_a_resting_task_is_published_once_its_queue_was_lost_or_empty(world: World) -> None:
    for older_than in (0, 10):
        task = long_wait(world, "20 h", "1 min")
        world.store.backlog.relay(LONG_AGO, 10)
        assert repaired(world, older_than) >= {task}
        assert task in {row.task_id for row in world.store.backlog.relay(LONG_AGO, 10)[0]}


def test_a_resting_task_is_published_after_it_was_put_off_or_the_clock_stepped_back(world: World) -> None:
    put_off, stepped = long_wait(world, "20 h", "1 min"), long_wait(world, "-1 min", "1 min")
    world.store.backlog.put_off([put_off], "echo", 0)
    world.store.backlog.due_again(float(world.value("SELECT extract(epoch FROM now()) + 90")), FIRST_ID, 10)
    dues, _, _ = world.store.backlog.relay(LONG_AGO, 10)
    assert {row.task_id for row in dues} == {put_off, stepped}


def test_a_confirmed_hint_begins_a_new_row_of_growing_delays(world: World) -> None:
    world.submit()
    world.rows("UPDATE backlog SET publishes = 5, publish_at = now() RETURNING 1")
    dues, _, _ = world.store.backlog.relay(LONG_AGO, 10)
    world.store.backlog.far_out(confirmed(dues))
    assert world.value("SELECT publishes FROM backlog") == 0


def test_a_task_published_many_times_can_be_published_again(world: World) -> None:
    (task,) = world.submit()
    world.rows("UPDATE backlog SET publishes = 1000, publish_at = now() RETURNING 1")
    assert len(world.store.backlog.relay(LONG_AGO, 10)[0]) == 1
    assert wait_of(world, task) == pytest.approx(600, abs=2)


def test_a_full_batch_of_the_relay_takes_the_oldest_and_returns_its_end(world: World) -> None:
    tasks = world.submit(4)
    for i, task in enumerate(reversed(tasks)):
        set_publish(world, task, 100 - i)
    dues, last, _ = world.store.backlog.relay(LONG_AGO, 3)
    assert {due.task_id for due in dues} == set(tasks[1:])
    assert last is not None
    assert world.value("SELECT %s::timestamptz BETWEEN now() - interval '98.9 s' AND now() - interval '97 s'", last)
    rest, _, _ = world.store.backlog.relay(last, 3)
    assert [due.task_id for due in rest] == tasks[:1]


def test_a_relay_does_not_look_before_its_mark(world: World) -> None:
    before, behind = world.submit(2)
    set_publish(world, before, 60)
    set_publish(world, behind, 10)
    mark = str(world.value("SELECT (now() - interval '30 s')::text"))
    assert [due.task_id for due in world.store.backlog.relay(mark, 10)[0]] == [behind]
    assert [due.task_id for due in world.store.backlog.relay(LONG_AGO, 10)[0]] == [before]


def test_a_relay_includes_its_mark_because_many_rows_may_share_one_time(world: World) -> None:
    tasks = world.submit(4)
    world.rows("UPDATE backlog SET publish_at = date_trunc('second', now()) - interval '1 min' RETURNING 1")
    first, mark, _ = world.store.backlog.relay(LONG_AGO, 2)
    assert mark is not None
    second, _, _ = world.store.backlog.relay(mark, 10)
    assert sorted(due.task_id for due in [*first, *second]) == tasks


def test_the_mark_trails_the_clock_by_some_seconds(world: World) -> None:
    assert world.value(
        "SELECT now() - %s::timestamptz BETWEEN interval '5 s' AND interval '6 s'", world.store.backlog.now()[0]
    )


def test_a_relay_without_rows_returns_no_place(world: World) -> None:
    assert world.store.backlog.relay(LONG_AGO, 10) == ([], None, 0)


# --- far out and put off


def test_confirmed_tasks_are_put_far_out(world: World) -> None:
    a, b = world.submit(2)
    world.store.backlog.far_out(confirmed(world.store.backlog.due([a])))
    assert wait_of(world, a) == pytest.approx(600, abs=2)
    assert wait_of(world, b) < 6
    assert world.rows("SELECT task_id::text FROM backlog WHERE published_at > now() - interval '1 min'") == [(a,)]


@pytest.mark.parametrize("shift", ["1 us", "-1 us"])
def test_a_row_whose_time_has_changed_is_not_put_far_out(world: World, shift: str) -> None:
    (task,) = world.submit()
    (due,) = world.store.backlog.due([task])
    world.rows("UPDATE backlog SET publish_at = publish_at + %s::interval RETURNING 1", shift)
    world.store.backlog.far_out(confirmed([due]))
    assert wait_of(world, task) < 6
    assert world.value("SELECT published_at IS NULL FROM backlog")


def test_tasks_that_a_worker_does_not_know_are_left_to_others(world: World) -> None:
    (now, other), (later,) = world.submit(2), world.submit(delay_seconds=60.0)
    world.store.backlog.put_off([later, now], "echo", 30)
    assert wait_of(world, now) == pytest.approx(30, abs=2)
    assert wait_of(world, later) == pytest.approx(60, abs=2)
    assert wait_of(world, other) < 6
    assert world.value("SELECT due_at <= now() FROM backlog WHERE task_id = %s", now)


@pytest.mark.parametrize(("waited", "pause"), [(1, 10), (60, 30), (3600, 60)])
def test_tasks_that_no_worker_runs_come_back_less_and_less_often(world: World, waited: int, pause: int) -> None:
    (task,) = world.submit(task_type="removed")
    world.rows("UPDATE backlog SET due_at = now() - %s * interval '1 s' RETURNING 1", waited)
    world.store.backlog.put_off([task], "removed", 10, 60)
    assert wait_of(world, task) == pytest.approx(pause, abs=3)
    world.store.workers.register(WorkerIdentity(uuid7(), uuid7(), uuid7(), "node", "default", 0, 1, ("removed",)))
    world.store.backlog.put_off([task], "removed", 10, 60)
    assert wait_of(world, task) == pytest.approx(10, abs=3)


def test_a_forged_hint_puts_off_no_task_of_another_type(world: World) -> None:
    (task,) = world.submit()
    world.store.backlog.put_off([task], "a type that no worker knows", 30)
    assert wait_of(world, task) < 6


def test_hints_contain_due_tasks(world: World) -> None:
    (now,), (later,), (claimed,) = (
        world.submit(priority=2, task_type="image", light=False),
        world.submit(delay_seconds=60.0),
        world.submit(),
    )
    world.claim(world.worker(), [claimed])
    (due,) = world.store.backlog.due([now, later, claimed])
    assert (due.task_id, due.task_type, due.light, due.priority) == (now, "image", False, 2)


# --- repair


def repaired(world: World, older_than_seconds: float) -> set[str]:
    """Repair everything, two rows at a time; return the tasks due for publishing."""
    after: str | None = FIRST_ID
    changed, batches = 0, 0
    while after is not None:
        after, count = world.store.backlog.repair(after, 2, older_than_seconds)
        changed, batches = changed + count, batches + 1
        assert batches < 10
    found = {row[0] for row in world.rows("SELECT task_id::text FROM backlog WHERE publish_at <= now()")}
    assert len(found) == changed
    return found


def test_a_lost_queue_makes_every_due_task_due_for_publishing(world: World) -> None:
    tasks, (later,) = world.submit(5), world.submit(delay_seconds=60.0)
    set_published(world, tasks[0], 1)
    assert repaired(world, 0) == set(tasks)
    assert wait_of(world, later) > 50


def test_an_empty_queue_makes_only_tasks_published_long_ago_due_for_publishing(world: World) -> None:
    old, new, never, later = world.submit(4)
    set_published(world, old, 20)
    set_published(world, new, 2)
    set_published(world, later, 20)
    world.rows("UPDATE backlog SET due_at = now() + interval '1 h' WHERE task_id = %s RETURNING 1", later)
    assert repaired(world, 10) == {old}
    assert wait_of(world, never) < 6


def test_a_repair_leaves_rows_that_the_relay_will_publish_anyway(world: World) -> None:
    (task,) = world.submit()
    set_publish(world, task, 30)
    assert world.store.backlog.repair(FIRST_ID, 10, 0)[1] == 0
    assert wait_of(world, task) < -29


def test_a_repair_of_a_retry_does_not_cut_its_delay_short(world: World) -> None:
    (task,) = world.submit()
    world.run([task], Kind.RETRY, delay_seconds=60.0)
    assert repaired(world, 0) == set()


def test_a_repair_without_rows_is_at_its_end(world: World) -> None:
    assert world.store.backlog.repair(FIRST_ID, 10, 0) == (None, 0)


# --- after a step back of the clock


def test_only_tasks_due_before_a_step_back_stay_due_after_it(world: World) -> None:
    was_due, later, far, fresh = world.submit(4)
    query = (
        "UPDATE backlog SET due_at = now() + %s * interval '1 s', publish_at = now() + %s * interval '1 s' WHERE "
        "task_id = %s RETURNING 1"
    )
    for task, due, publish in ((was_due, 50, 55), (later, 70, 70), (far, -5, 650)):
        world.rows(query, due, publish, task)
    until = float(world.value("SELECT extract(epoch FROM now() + interval '1 min')::float8"))
    after: str | None = FIRST_ID
    changed = 0
    while after is not None:
        after, count, left_out = world.store.backlog.due_again(until, after, 3)
        assert not left_out
        changed += count
    assert changed == 2
    assert {due.task_id for due in world.store.backlog.due([was_due, later, far, fresh])} == {was_due, far, fresh}
    assert wait_of(world, was_due) <= 0
    assert wait_of(world, later) == pytest.approx(70, abs=2)
    assert wait_of(world, far) == pytest.approx(600, abs=2)
    assert wait_of(world, fresh) == pytest.approx(5, abs=2)


def test_a_locked_row_is_left_out_after_a_step_back_and_told(world: World) -> None:
    locked, free, later = world.submit(3)
    query = "UPDATE backlog SET due_at = now() + %s * interval '1 s', publish_at = now() + interval '80 s' RETURNING 1"
    world.rows(query, 50)
    world.rows(query.replace("RETURNING", "WHERE task_id = %s RETURNING"), 70, later)
    until = float(world.value("SELECT extract(epoch FROM now() + interval '1 min')::float8"))
    with row_lock(world, locked):
        assert world.store.backlog.due_again(until, FIRST_ID, 4)[1:] == (1, True)
        assert [due.task_id for due in world.store.backlog.due([locked, free])] == [free]
    with row_lock(world, later):
        assert world.store.backlog.due_again(until, FIRST_ID, 4)[1:] == (1, False), "a task that stays is not left out"
    assert wait_of(world, locked) <= 0


def test_a_look_after_a_step_back_may_end_at_an_id(world: World) -> None:
    first, second, _ = world.submit(3)
    world.rows("UPDATE backlog SET due_at = now() + interval '50 s' RETURNING 1")
    until = float(world.value("SELECT extract(epoch FROM now() + interval '1 min')::float8"))
    assert world.store.backlog.due_again(until, first, 10, second) == (second, 1, False)
    assert world.store.backlog.due_again(until, second, 10, second) == (None, 0, False)


def test_a_task_whose_hint_came_before_a_step_back_gets_another_one(world: World) -> None:
    """Its worker may have dropped the hint, since the task was not due then. With `published_at` it would rest."""
    task = long_wait(world, "-50 s", "-52 s")
    world.rows("UPDATE backlog SET publish_at = published_at + interval '10 min' RETURNING 1")
    until = float(world.value("SELECT extract(epoch FROM now() + interval '1 min')::float8"))
    assert world.store.backlog.due_again(until, FIRST_ID, 2)[1:] == (1, False)
    world.rows(
        "UPDATE backlog SET due_at = due_at - interval '1 min', publish_at = publish_at - interval '1 min', "
        "published_at = published_at - interval '1 min' RETURNING 1"
    )
    assert [due.task_id for due in world.store.backlog.relay(LONG_AGO, 10)[0]] == [task], "a minute later"


@contextmanager
def row_lock(world: World, task_id: str) -> Iterator[None]:
    with psycopg.connect(world.section.dsn.get_secret_value()) as connection:
        connection.execute("SELECT FROM backlog WHERE task_id = %s FOR UPDATE", [task_id])
        yield


def test_tasks_of_any_types_are_counted(world: World) -> None:
    world.submit(2)
    assert world.store.backlog.count(["echo", "", '{"\\', "NULL", "\x11"], 10) == Counts([("echo", 2, 0)], True)


def test_a_count_tells_that_other_tasks_were_in_front_of_the_rest(world: World) -> None:
    world.submit(10)
    (image,) = world.submit(task_type="image")
    set_publish(world, image, -60)
    count = world.store.backlog.count
    assert count(["image"], 2) == Counts([], False), "it looks at ten rows"
    assert count(["image"], 3) == Counts([("image", 1, 0)], True)
    set_publish(world, image, 60)
    assert count(["image"], 2) == Counts([("image", 1, 0)], False)
    assert count([], 12) == Counts([("echo", 10, 0), ("image", 1, 0)], True)


def test_a_count_that_ends_at_its_limit_is_not_complete(world: World) -> None:
    tasks = world.submit(3)
    assert world.store.backlog.count(["echo"], 3) == Counts([("echo", 3, 0)], False)
    assert world.store.backlog.count(["echo"], 4) == Counts([("echo", 3, 0)], True)
    world.claim(world.worker(), tasks)
    assert world.store.backlog.count([], 3) == Counts([("echo", 0, 3)], False)


def test_the_last_row_of_a_full_look_counts_once(world: World) -> None:
    tasks = world.submit(10, delay_seconds=60.0)
    world.make_due(tasks[:1])
    set_publish(world, tasks[0], -90)
    assert world.store.backlog.count([], 2) == Counts([("echo", 1, 0)], False)


def test_a_look_that_is_full_of_other_tasks_excludes_no_due_task(world: World) -> None:
    world.submit(3)
    (image,) = world.submit(task_type="image")
    set_publish(world, image, -60)
    count = world.store.backlog.count_due
    assert [count(most, ["image"], chosen=True) for most in (3, 4, 5)] == [1, 1, 1]
    assert [count(most, ["video"], chosen=True) for most in (3, 4, 5)] == [1, 1, 0]
    assert [count(most, ["image"]) for most in (2, 5)] == [2, 3]


@pytest.mark.parametrize("due_at", ["0001-01-01T00:00:00Z", "2020-02-03T04:05:06Z"])
def test_a_task_that_was_due_long_before_its_submit_waits_from_its_submit(world: World, due_at: str) -> None:
    (past,) = world.submit(due_at=due_at)
    (now,) = world.submit()
    (waited,) = world.rows(
        "SELECT extract(epoch FROM now() - due_at)::float8 BETWEEN 0 AND 60 FROM backlog WHERE task_id = %s", past
    )
    assert waited == (True,), "no alarm is about the years before it"
    for task in (past, now):
        set_publish(world, task, 1)
    rows, _, _ = world.store.backlog.relay(LONG_AGO, 10)
    world.store.backlog.far_out(confirmed(rows))
    assert wait_of(world, past) == pytest.approx(wait_of(world, now), abs=5), "its hint is published again as usual"
    assert world.store.leases.claim(world.worker(), uuid7(), [past])[0][0].is_new
    assert world.value("SELECT due_at FROM tasks WHERE id = %s", past).isoformat()[:4] == due_at[:4]


def test_a_hint_counts_as_published_when_the_relay_took_its_row(world: World) -> None:
    """Its confirm may come seconds later, after the loss of the queue."""
    task_ids, taken = world.submit(), "SELECT published_at FROM backlog"
    for _ in range(2):  # the second publish has a longer time for its confirm
        world.make_due(task_ids)
        dues, _, _ = world.store.backlog.relay(LONG_AGO, 10)
    at = world.value(taken)
    world.store.backlog.far_out(confirmed(dues))
    assert world.value(taken) == at
