"""A submit in the store: once per id, once per key, all or nothing, and a person's retry."""

import random

import pytest

from dtqs.errors import Conflict, NotFound, StoreRefused
from dtqs.settlement import Kind
from dtqs.store.tasks import Caps, IdempotencyKey
from dtqs.task import TAG_LENGTH_LIMIT, TAGS_LIMIT, NewTask
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World

OWNER = uuid7()


def new_task(**fields: object) -> NewTask:
    return NewTask(uuid7(), "echo", True, '{"a": 1}', **fields)  # type: ignore[arg-type]


def key(body: bytes = b"one", hours: float = 24.0, name: str = "k") -> IdempotencyKey:
    return IdempotencyKey(OWNER, name, body, hours)


def test_a_repeated_group_is_stored_once(world: World) -> None:
    tasks = [new_task() for _ in range(3)]
    first = world.store.tasks.insert(tasks)
    again = world.store.tasks.insert([*tasks, new_task()])
    assert sorted(stored.task_id for stored in first) == sorted(task.task_id for task in tasks)
    assert len(again) == 1
    assert world.value("SELECT count(*) FROM backlog") == 4
    world.check()


def test_a_group_repeated_after_a_part_of_it_ended_restores_nothing(world: World) -> None:
    tasks = [new_task() for _ in range(2)]
    world.store.tasks.insert(tasks)
    world.run([tasks[0].task_id])
    assert world.store.tasks.insert(tasks) == []
    world.check()


def test_a_group_repeated_while_the_first_still_runs_waits_for_it(world: World) -> None:
    tasks = [new_task() for _ in range(2)]
    with world.held_open() as held:
        held.tasks.insert(tasks)
        again = world.meet(lambda store: store.tasks.insert(tasks)).waits()
        held.commit()
    assert again.result() == []
    world.check()


def test_one_bad_member_stores_none_of_its_group(world: World) -> None:
    tasks = [new_task(), NewTask(uuid7(), "echo", True, "not JSON"), new_task()]
    with pytest.raises(Exception, match="json"):
        world.store.tasks.insert(tasks)
    assert world.value("SELECT count(*) FROM tasks") == 0


def letters(count: int) -> str:
    """Return text that takes four bytes a letter and cannot be compressed."""
    return "".join(map(chr, random.Random(count).choices(range(0x20000, 0x2A6DF), k=count)))


def test_text_too_long_for_an_index_is_refused_and_not_retried(world: World) -> None:
    with pytest.raises(StoreRefused, match="index row"):
        world.store.tasks.insert([new_task(tags=(letters(5000),))])
    with pytest.raises(StoreRefused, match="index row"):
        world.store.api_keys.create(letters(5000), ["read"])


def test_the_largest_tags_that_the_api_lets_pass_are_stored(world: World) -> None:
    tags = tuple(letters(TAG_LENGTH_LIMIT - n) for n in range(TAGS_LIMIT))
    assert len(world.store.tasks.insert([new_task(tags=tags)])) == 1


def test_every_field_of_a_task_is_stored(world: World) -> None:
    tags = ("plain", 'a "quoted", {one}\\', "NULL", "ünï")
    task = NewTask(
        uuid7(),
        "image",
        False,
        '{"a": [1, null]}',
        9,
        3,
        7.5,
        0.0,
        "2031-01-02T03:04:05.25+02:00",
        tags,
        OWNER,
        origin='r-"1\\\\ 00-trace a=b c',
    )
    (stored,) = world.store.tasks.insert([task])
    assert not stored.due
    record = world.store.reads.task(task.task_id)
    assert (record.task_type, record.payload, record.priority, record.max_retries) == ("image", {"a": [1, None]}, 9, 3)
    assert (record.tags, record.submitted_by, record.due_at) == (tags, OWNER, "2031-01-02T01:04:05.250000Z")
    assert record.request_id == 'r-"1\\\\'
    assert world.rows(
        "SELECT t.timeout_seconds, b.light, b.priority, b.publish_at = b.due_at FROM tasks t JOIN backlog b ON "
        "b.task_id = t.id"
    ) == [(7.5, False, 9, True)]


def test_the_relay_publishes_a_due_task_only_after_the_grace(world: World) -> None:
    stored = world.store.tasks.insert([new_task(), new_task(tags=("x",)), new_task(delay_seconds=60.0)])
    assert [s.due for s in stored] == [True, True, False]
    waits = world.rows(
        "SELECT extract(epoch FROM publish_at - t.created_at)::int, extract(epoch FROM b.due_at - t.created_at)::int"
        " FROM backlog b JOIN tasks t ON t.id = b.task_id ORDER BY b.due_at"
    )
    assert waits == [(5, 0), (5, 0), (60, 60)]


def test_a_due_time_that_has_passed_is_due_now(world: World) -> None:
    (stored,) = world.store.tasks.insert([new_task(due_at="2001-01-01T00:00:00Z")])
    assert stored.due
    assert world.value("SELECT publish_at > now() FROM backlog")


# --- idempotency keys


def test_a_repeated_submit_returns_the_first_tasks(world: World) -> None:
    tasks = [new_task(), new_task()]
    first, stored = world.store.tasks.insert_once(tasks, key())
    assert (first, len(stored)) == ([task.task_id for task in tasks], 2)
    assert world.store.tasks.insert_once([new_task(), new_task()], key()) == (first, [])
    assert world.value("SELECT count(*) FROM tasks") == 2
    world.check()


def test_the_same_key_with_another_body_is_a_conflict(world: World) -> None:
    world.store.tasks.insert_once([new_task()], key())
    with pytest.raises(Conflict, match="another body"):
        world.store.tasks.insert_once([new_task()], key(b"two"))
    assert world.value("SELECT count(*) FROM tasks") == 1


def test_a_submit_is_known_until_its_key_expires(world: World) -> None:
    """The expired row may stay for minutes. Its key lets a submit pass `max_pending` no more."""
    first, _ = world.store.tasks.insert_once([new_task()], key())
    assert world.store.tasks.earlier_ids(key()) == first
    assert world.store.tasks.earlier_ids(key(b"two")) is None
    assert world.store.tasks.earlier_ids(key(name="other")) is None
    world.rows("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' RETURNING 1")
    assert world.store.tasks.earlier_ids(key()) is None
    assert world.store.tasks.insert_once([new_task()], key())[0] != first


def test_a_key_belongs_to_its_api_key(world: World) -> None:
    world.store.tasks.insert_once([new_task()], key())
    _, stored = world.store.tasks.insert_once([new_task()], IdempotencyKey(uuid7(), "k", b"two", 24.0))
    assert len(stored) == 1


def test_of_two_submits_at_once_the_second_waits_and_returns_the_firsts_tasks(world: World) -> None:
    first = new_task()
    with world.held_open() as held:
        held.tasks.insert_once([first], key())
        second = world.meet(lambda store: store.tasks.insert_once([new_task()], key())).waits()
        held.commit()
    assert second.result() == ([first.task_id], [])
    assert world.value("SELECT count(*) FROM tasks") == 1


def test_of_two_submits_at_once_the_second_is_stored_when_the_first_rolls_back(world: World) -> None:
    task = new_task()
    with world.held_open() as held:
        held.tasks.insert_once([new_task()], key())
        second = world.meet(lambda store: store.tasks.insert_once([task], key())).waits()
    assert second.result()[0] == [task.task_id]
    world.check()


def test_an_expired_key_is_free(world: World) -> None:
    world.store.tasks.insert_once([new_task()], key())
    world.rows("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' RETURNING 1")
    _, stored = world.store.tasks.insert_once([new_task()], key(b"two"))
    assert len(stored) == 1
    assert world.value("SELECT count(*) FROM idempotency_keys") == 1


def test_another_expired_key_is_left_alone(world: World) -> None:
    for other in (key(name="other"), IdempotencyKey(uuid7(), "k", b"one", 24.0)):
        world.store.tasks.insert_once([new_task()], other)
    world.rows("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' RETURNING 1")
    world.store.tasks.insert_once([new_task()], key())
    assert world.value("SELECT count(*) FROM idempotency_keys") == 3


def test_a_key_within_its_time_holds(world: World) -> None:
    first, _ = world.store.tasks.insert_once([new_task()], key())
    world.rows("UPDATE idempotency_keys SET created_at = now() - interval '23 hours' RETURNING 1")
    assert world.store.tasks.insert_once([new_task()], key()) == (first, [])


def test_a_key_whose_tasks_cannot_be_stored_is_not_used_up(world: World) -> None:
    with pytest.raises(Exception, match="json"):
        world.store.tasks.insert_once([NewTask(uuid7(), "echo", True, "not JSON")], key())
    _, stored = world.store.tasks.insert_once([new_task()], key())
    assert len(stored) == 1


# --- a person's retry


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_a_persons_retry_is_a_new_task_like_the_old_one(world: World, outcome: str) -> None:
    (old,) = world.submit(tags=("x",), priority=7, max_retries=2, payload='{"a": 1}', submitted_by=OWNER)
    if outcome == "failed":
        world.run([old], Kind.FAILED)
    else:
        world.store.tasks.cancel([old])
    retry = world.store.tasks.retry(old, uuid7(), origin="r-2 trace")
    assert retry.fresh
    record = world.store.reads.task(retry.task_id)
    assert record.request_id == "r-2"
    assert (record.retry_of, record.status, record.priority, record.max_retries, record.payload) == (
        old,
        "pending",
        7,
        2,
        {"a": 1},
    )
    assert (record.tags, record.submitted_by, record.attempt) == (("x",), OWNER, 0)
    assert world.status(old) == outcome
    world.run([retry.task_id])
    world.check()


@pytest.mark.parametrize(
    ("old", "caps", "new"),
    [
        ((50, 86400.0), Caps(), (50, 86400.0)),
        ((50, 86400.0), Caps(10, 60.0, 30.0), (10, 60.0)),
        ((5, 20.0), Caps(10, 60.0, 30.0), (5, 20.0)),
        ((5, None), Caps(10, 60.0, 30.0), (5, 30.0)),
        ((5, None), Caps(10, 60.0), (5, None)),
    ],
)
def test_a_retry_takes_over_no_more_than_is_allowed_now(
    world: World, old: tuple[int, float | None], caps: Caps, new: tuple[int, float | None]
) -> None:
    (task,) = world.submit(max_retries=old[0], timeout_seconds=old[1])
    world.store.tasks.cancel([task])
    retry = world.store.tasks.retry(task, uuid7(), caps=caps)
    found = [
        world.value(f"SELECT {column} FROM tasks WHERE id = '{retry.task_id}'")
        for column in ("max_retries", "timeout_seconds")
    ]
    assert found == list(new)


def test_a_second_retry_returns_the_firsts_task(world: World) -> None:
    (old,) = world.submit()
    world.run([old], Kind.FAILED)
    first = world.store.tasks.retry(old, uuid7())
    second = world.store.tasks.retry(old, uuid7())
    assert (second.task_id, second.fresh) == (first.task_id, False)
    assert world.store.tasks.retried(old) == second
    assert world.store.tasks.retried(first.task_id) is world.store.tasks.retried(uuid7()) is None
    assert world.value("SELECT count(*) FROM backlog") == 1


def test_of_two_retries_at_once_the_second_waits_and_returns_the_firsts_task(world: World) -> None:
    (old,) = world.submit()
    world.run([old], Kind.FAILED)
    with world.held_open() as held:
        first = held.tasks.retry(old, uuid7())
        second = world.meet(lambda store: store.tasks.retry(old, uuid7())).waits()
        held.commit()
    assert (second.result().task_id, second.result().fresh) == (first.task_id, False)


def test_only_a_failed_or_cancelled_task_can_be_retried(world: World) -> None:
    pending, running, completed = world.submit(3)
    world.claim(world.worker(), [running])
    world.run([completed])
    for task in (pending, running, completed):
        with pytest.raises(Conflict):
            world.store.tasks.retry(task, uuid7())
    with pytest.raises(NotFound):
        world.store.tasks.retry(uuid7(), uuid7())
    assert world.value("SELECT count(*) FROM tasks") == 3


def test_a_submit_under_a_key_is_the_same_if_only_the_ids_of_its_uploads_differ(world: World) -> None:
    def named(body: bytes, content: bytes) -> IdempotencyKey:
        return IdempotencyKey(OWNER, "k", body * 32, 24.0, content * 32)

    task = new_task()
    assert world.store.tasks.insert_once([task], named(b"a", b"c"))[0] == [task.task_id]
    for same in (named(b"a", b"c"), named(b"b", b"c"), named(b"a", b""), named(b"a", b"d")):
        assert world.store.tasks.insert_once([new_task()], same) == ([task.task_id], [])
        assert world.store.tasks.earlier_ids(same) == [task.task_id]
    for other in (named(b"b", b"d"), named(b"b", b""), named(b"c", b"a")):
        with pytest.raises(Conflict):
            world.store.tasks.insert_once([new_task()], other)
        assert world.store.tasks.earlier_ids(other) is None


def test_the_key_of_a_body_with_uploads_fits_code_of_before(world: World) -> None:
    def named(body: bytes, content: bytes) -> IdempotencyKey:
        return IdempotencyKey(OWNER, "k", body * 32, 24.0, content * 32)

    for old, new in ((b"a", b"c"), (b"b", b"d")):
        task, key = new_task(), named(old, new)
        assert world.store.tasks.insert_once([task], key)[0] == [task.task_id]
        stored = world.value("SELECT body_hash FROM idempotency_keys WHERE key = 'k'")
        assert bytes(stored) == key.body_hash, "code of before compares the whole value"
        assert world.store.tasks.earlier_ids(named(b"e", new)) == [task.task_id]
        world.execute("DELETE FROM idempotency_keys WHERE key = 'k'")
    older = new_task()
    world.store.tasks.insert_once([older], named(b"f", b""))
    assert world.store.tasks.earlier_ids(named(b"e", b"d")) is None, "that content was of another submit"
