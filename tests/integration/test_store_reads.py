"""The reads of API, streams and doctor: records, pages, logs, and the audit, which must see every break of law 3."""

import base64
import random
import re
import time
import uuid
from dataclasses import replace

import pytest
from psycopg import sql

from dtqs.errors import NotFound
from dtqs.settlement import Kind
from dtqs.store import reads
from dtqs.store.driver.statements import lived_since, statement
from dtqs.store.reads import SLICE_BYTES, TaskFilter, TaskListing
from dtqs.store.workers import WorkerIdentity
from dtqs.task import NewTask, Status
from dtqs.uuid7 import first_uuid7, uuid7
from tests.support.fix_store import REPORT, World, settled
from tests.support.helpers import eventually

OWNER, STRANGER = uuid7(), uuid7()


def ids(page: TaskListing) -> list[str]:
    return [task.task_id for task in page.tasks]


def all_pages(world: World, wanted: TaskFilter, limit: int) -> list[list[str]]:
    pages, page = [], world.store.reads.page(wanted, limit)
    pages.append(ids(page))
    while page.after:
        page = world.store.reads.page(wanted, limit, page.after)
        pages.append(ids(page))
        assert len(pages) < 20
    return pages


# --- records


def test_a_record_shows_the_status_of_a_task_through_its_whole_life(world: World) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    seen = [world.store.reads.task(task)]
    lease = world.claim(worker, [task])
    seen.append(world.store.reads.task(task))
    world.store.leases.finish(lease, settled([task], Kind.RETRY))
    seen.append(world.store.reads.task(task))
    world.run([task])
    seen.append(world.store.reads.task(task))
    assert [(record.status, record.attempt) for record in seen] == [
        ("pending", 0),
        ("in_progress", 1),
        ("pending", 1),
        ("completed", 2),
    ]
    assert [record.started_at is not None for record in seen] == [False, True, True, True]
    assert [record.finished_at is not None for record in seen] == [False, False, False, True]


def test_the_view_shows_the_worker_of_a_task(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    world.claim(worker, [task])
    assert world.value("SELECT worker_id::text FROM task_status") == worker


def test_a_task_is_shown_to_its_owner_only(world: World) -> None:
    (task,) = world.submit(submitted_by=OWNER)
    assert world.store.reads.task(task, OWNER).task_id == task
    with pytest.raises(NotFound):
        world.store.reads.task(task, STRANGER)
    with pytest.raises(NotFound):
        world.store.reads.task(uuid7())
    assert world.store.reads.existing([task, uuid7()], OWNER) == {task}
    assert world.store.reads.existing([task], STRANGER) == set()


def test_tasks_are_returned_in_the_requested_order(world: World) -> None:
    a, b, c = world.submit(3)
    assert [record.task_id for record in world.store.reads.tasks([c, uuid7(), a, b])] == [c, a, b]


# --- pages


def test_pages_show_every_task_once_newest_first(world: World) -> None:
    tasks = world.submit(5)
    assert all_pages(world, TaskFilter(), 2) == [[tasks[4], tasks[3]], [tasks[2], tasks[1]], [tasks[0]]]
    assert all_pages(world, TaskFilter(), 5) == [tasks[::-1]]


def test_each_status_is_listed_from_its_own_table(world: World) -> None:
    pending, running, completed, failed, cancelled = world.submit(5)
    world.claim(world.worker(), [running])
    world.run([completed])
    world.run([failed], Kind.FAILED)
    world.store.tasks.cancel([cancelled])
    # a page of one: a task of another status must not take the place
    found = {status: ids(world.store.reads.page(TaskFilter(status), 1)) for status in Status}
    assert found == {
        Status.PENDING: [pending],
        Status.IN_PROGRESS: [running],
        Status.COMPLETED: [completed],
        Status.FAILED: [failed],
        Status.CANCELLED: [cancelled],
    }


@pytest.mark.parametrize("status", [None, *Status])
def test_a_page_is_filtered_by_type_tag_and_owner(world: World, status: Status | None) -> None:
    tasks = sorted(uuid7() for _ in range(5))
    kinds = [
        ("image", ("x", "y"), OWNER),
        ("echo", ("x",), OWNER),
        ("image", ("y",), OWNER),
        ("image", ("x",), STRANGER),
        ("image", (), OWNER),
    ]
    rows = zip(tasks, kinds, strict=True)
    world.store.tasks.insert(
        [NewTask(task, task_type, True, "{}", tags=tags, submitted_by=owner) for task, (task_type, tags, owner) in rows]
    )
    bring_to(world, tasks, status)
    assert ids(world.store.reads.page(TaskFilter(status, "image", "x", OWNER), 1)) == tasks[:1]
    assert ids(world.store.reads.page(TaskFilter(status), 10)) == tasks[::-1]
    assert all_pages(world, TaskFilter(status), 2) == [tasks[:2:-1], tasks[2:0:-1], tasks[:1]]


@pytest.mark.parametrize("wanted", [TaskFilter(Status.FAILED), TaskFilter(Status.CANCELLED), TaskFilter(tag="x")])
def test_a_page_can_leave_out_tasks_that_were_retried(world: World, wanted: TaskFilter) -> None:
    tasks = sorted(uuid7() for _ in range(6))
    world.store.tasks.insert([NewTask(task, "echo", True, "{}", tags=("x",)) for task in tasks])
    bring_to(world, tasks, wanted.status or Status.FAILED)
    for task in tasks[3:]:
        again = uuid7()
        world.store.tasks.retry(task, again)
        world.run([again])
    assert set(tasks[3:]) < {task for page in all_pages(world, wanted, 5) for task in page}
    found = [task for page in all_pages(world, replace(wanted, unretried=True), 2) for task in page]
    assert [task for task in found if task in tasks] == tasks[2::-1]


def bring_to(world: World, tasks: list[str], status: Status | None) -> None:
    if status is Status.IN_PROGRESS:
        world.claim(world.worker(), tasks)
    elif status is Status.CANCELLED:
        world.store.tasks.cancel(tasks)
    elif status in (Status.COMPLETED, Status.FAILED):
        world.run(tasks, Kind(status))


def test_a_page_reads_a_limited_number_of_rows_and_returns_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "LOOK_LIMIT", 2)
    monkeypatch.setattr(reads, "FAR_LIMIT", 8)
    (rare,) = world.submit(task_type="image")
    world.submit(25)
    pages = all_pages(world, TaskFilter(task_type="image"), 5)
    assert ([task for page in pages for task in page], len(pages)) == ([rare], 3)


@pytest.mark.parametrize("status", [None, Status.PENDING, Status.FAILED])
def test_matches_of_the_first_and_the_farther_look_make_one_page(
    world: World, status: Status | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "LOOK_LIMIT", 4)
    tasks = [task for kind in ("echo", "image", "echo", "image") for task in world.submit(3, task_type=kind)]
    bring_to(world, tasks, status)
    expected = sorted(tasks[3:6] + tasks[9:], reverse=True)
    assert ids(world.store.reads.page(TaskFilter(status, "image"), 10)) == expected
    assert all_pages(world, TaskFilter(status, "image"), 4) == [expected[:4], expected[4:]]


@pytest.mark.parametrize("status", [None, *Status])
def test_a_rare_tag_is_found_behind_any_number_of_tasks(
    world: World, status: Status | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "LOOK_LIMIT", 2)
    monkeypatch.setattr(reads, "FAR_LIMIT", 2)
    monkeypatch.setattr(reads, "SCATTERED_LIMIT", 100 if status is Status.IN_PROGRESS else 2)
    tagged, others = world.submit(3, tags=("x", "rare")), world.submit(30, tags=("x",))
    bring_to(world, tagged, status)
    bring_to(world, others, status)
    if status is not None:
        bring_to(world, world.submit(1, tags=("rare",)), Status.FAILED if status != Status.FAILED else Status.COMPLETED)
    first = world.store.reads.page(TaskFilter(status, tag="rare"), 2)
    assert (ids(first), first.after) == ([tagged[2], tagged[1]], tagged[1])
    rest = world.store.reads.page(TaskFilter(status, tag="rare"), 2, first.after)
    assert (ids(rest), rest.after) == ([tagged[0]], None)


def test_a_tag_that_is_not_rare_is_walked_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "LOOK_LIMIT", 2)
    monkeypatch.setattr(reads, "FAR_LIMIT", 8)
    monkeypatch.setattr(reads, "TAGGED_LIMIT", 3)
    tagged = world.submit(3, tags=("x",))
    world.submit(15)
    pages = all_pages(world, TaskFilter(tag="x"), 5)
    assert ([task for page in pages for task in page], len(pages)) == (tagged[::-1], 2)


def test_a_page_filled_at_its_last_row_continues_behind_its_last_task(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "LOOK_LIMIT", 4)
    tasks = world.submit(9)
    pages = all_pages(world, TaskFilter(Status.PENDING), 4)
    assert [task for page in pages for task in page] == tasks[::-1]


def test_the_index_is_not_read_for_a_tag_that_is_known_as_common(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "LOOK_LIMIT", 2)
    monkeypatch.setattr(reads, "TAGGED_LIMIT", 50)
    rare, common = fresh_world.submit(3, tags=("rare", "x")), fresh_world.submit(200, tags=("x",))
    fresh_world.submit(5)
    fresh_world.execute("ANALYZE tasks")
    for tag, tasks, count in (("rare", rare, 1), ("x", sorted([*rare, *common]), 0)):
        assert ids(fresh_world.store.reads.page(TaskFilter(tag=tag), 300)) == tasks[::-1]
        plan = fresh_world.store.database.select(
            sql.SQL("EXPLAIN (ANALYZE) ") + sql.SQL(statement("page_tagged").decode()),
            TaskFilter(tag=tag).parameters | {"after": reads.LAST_ID, "most": 50, "wanted": 300},
        )
        (looks,) = [row[0] for row in plan if "Bitmap Index Scan on tasks_tags" in row[0]]
        assert ("never executed" not in looks) == count


# --- logs and streams


def test_a_page_of_large_tasks_is_shorter_and_continues_behind_its_last_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "SLICE_BYTES", 5000)
    large = world.submit(12, payload='"' + "x" * 2000 + '"')
    small = world.submit(20, tags=("small",))
    pages = all_pages(world, TaskFilter(), 40)
    assert [task_id for page in pages for task_id in page] == [*small[::-1], *large[::-1]]
    assert [len(page) for page in pages] == [22, 2, 2, 2, 2, 2]
    assert all_pages(world, TaskFilter(tag="small"), 40) == [small[::-1]]


def in_order(world: World, size: int) -> str:
    """Store a task of this size. Its id is below all later ones: ids of one millisecond have no order."""
    (task_id,) = world.submit(payload=f'"{"x" * size}"')
    eventually(lambda: uuid7()[:13] > task_id[:13], 5, "the next millisecond")
    return task_id


def test_few_large_tasks_are_not_read_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "SLICE_BYTES", 5000)
    tasks = [in_order(world, size) for size in (100, 2000, 2000, 6000, 6000, 100)]
    wanted, seen = [tasks[0], uuid7(), *tasks[1:], tasks[0], uuid7()], list[list[str]]()
    while wanted:
        found, left = world.store.reads.first(wanted)
        seen.append([task.task_id for task in found])
        assert len(left) < len(wanted)
        wanted = left
    assert seen == [tasks[:3], tasks[3:4], tasks[4:5], tasks[5:], []]
    assert world.store.reads.first([]) == world.store.reads.first([uuid7(), uuid7()]) == ([], [])
    assert world.store.reads.first(tasks, STRANGER) == ([], [])
    assert all_pages(world, TaskFilter(), 6) == [[tasks[5]], [tasks[4]], [tasks[3]], tasks[2::-1]]


def test_a_small_task_is_read_at_once_and_a_large_one_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "SMALL_RECORD_BYTES", 10_000)
    noise = base64.b64encode(random.Random(7).randbytes(15_000)).decode()
    small, random_text, zeros = (world.submit(payload=f'"{text}"')[0] for text in ("x" * 9000, noise, "0" * 20_000))
    found = world.store.reads.small(small)
    assert found == world.store.reads.task(small)
    (large_result,) = world.submit()
    world.execute(f"UPDATE tasks SET result = to_json(repeat('0', 20000)) WHERE id = '{large_result}'")
    assert [world.store.reads.small(task) for task in (random_text, zeros, large_result, uuid7())] == [None] * 4
    assert world.store.reads.small(small, STRANGER) is None


def test_the_log_of_a_task_is_read_from_a_place_on(world: World) -> None:
    (task, other), worker = world.submit(2), world.worker()
    lease = world.claim(worker, [task])
    first, second = (world.store.leases.report(lease, task, 1, "log", "info", word, None) for word in ("one", "two"))
    world.run([other])
    assert [row.log_id for row in world.store.reads.logs(task)] == [first, second]
    assert [row.message for row in world.store.reads.logs(task, after=first)] == ["two"]
    assert [row.message for row in world.store.reads.logs(task, limit=1)] == ["one"]


def test_a_page_of_a_log_ends_early_before_long_rows(world: World) -> None:
    (task,) = world.submit(1)
    lease = world.claim(world.worker(), [task])
    third = "x" * (SLICE_BYTES // 3)
    ids = [
        world.store.leases.report(lease, task, 1, "log", "info", message, data)
        for message, data in ((third, None), ("a", third), (third, third), ("last", None))
    ]
    first, more = world.store.reads.logs_page(task, 0, 10)
    assert ([row.log_id for row in first], more) == (ids[:3], True)
    assert [(row.message, row.data) for row in first] == [(third, None), ("a", third), (third, third)]
    second, more = world.store.reads.logs_page(task, ids[2], 10)
    assert ([row.log_id for row in second], more) == (ids[3:], False)
    assert [row.log_id for row in world.store.reads.logs_page(task, ids[1], 1)[0]] == [ids[2]]


@pytest.mark.parametrize("off_by_days", [-40, -0.9, 0, 0.9, 40], ids=str)
def test_logs_are_found_for_ids_of_any_clock(world: World, off_by_days: float) -> None:
    """Check ids of a wrong clock or another kind: a read opens only the days of a task's life, today included."""
    made = first_uuid7(time.time() + 86_400 * off_by_days)
    for task_id in (made, str(uuid.uuid4())):
        world.store.tasks.insert([NewTask(task_id, "echo", False, "{}")])
        lease = world.claim(world.worker(), [task_id])
        began = world.store.reads.logs(task_id)[0].log_id
        told = world.store.leases.report(lease, task_id, 1, "progress", "info", "half", {"fraction": 0.5})
        assert [row.log_id for row in world.store.reads.logs(task_id)] == [began, told]
        assert [row.log_id for row in world.store.reads.watch({task_id: began})] == [told]
        assert world.store.reads.task(task_id).progress == {"fraction": 0.5}
        assert world.store.reads.watched([task_id])[0].last_log_id == told
        assert world.store.reads.ended({task_id: told}) == []
        world.store.leases.finish(lease, settled([task_id]))
        assert [(task.progress, alone) for task, alone in world.store.reads.ended({task_id: told})] == [
            ({"fraction": 0.5}, True)
        ]
        assert world.store.reads.ended({task_id: began}) == [(world.store.reads.task(task_id), False)]


def test_of_many_ended_tasks_the_large_ones_are_left_out(world: World) -> None:
    """Together they could take gigabytes of memory; their streams read them in parts."""
    small, large = uuid7(), uuid7()
    payload = f'"{"x" * (SLICE_BYTES // 100)}"'
    world.store.tasks.insert([NewTask(small, "echo", True, "{}"), NewTask(large, "echo", True, payload)])
    world.run([small, large])
    others = {uuid7(): 0 for _ in range(100)}
    assert [task.task_id for task, _ in world.store.reads.ended({**others, small: 0, large: 0})] == [small]
    assert {task.task_id for task, _ in world.store.reads.ended({small: 0, large: 0})} == {small, large}


def test_reading_a_log_opens_only_the_days_of_its_task(world: World) -> None:
    """Count the opened partitions: opening every index takes longer than the rest of the read."""
    task_id = uuid7()
    with world.store.database._connection() as connection:
        parameters = {"task_id": task_id, "since": lived_since([task_id]), "after": 0, "limit": 9, "most_bytes": 9}
        plan = "\n".join(str(row[0]) for row in connection.execute(b"EXPLAIN " + statement("read_logs"), parameters))
    assert "Index Scan" in plan
    assert len(set(re.findall(r"on (logs_\d{8})", plan))) <= 3


def test_a_stream_reads_new_rows_after_its_own_position_in_each_task(world: World) -> None:
    (a, b, c), worker = world.submit(3), world.worker()
    lease_a, lease_b = world.claim(worker, [a]), world.claim(worker, [b])
    seen_a = world.store.leases.report(lease_a, a, 1, "log", "info", "old", None)
    new_b = world.store.leases.report(lease_b, b, 1, "progress", "info", "new b", {"fraction": 0.5})
    new_a = world.store.leases.report(lease_a, a, 1, "log", "info", "new a", None)
    world.run([c])
    rows = world.store.reads.watch({a: seen_a, b: 0})
    assert [(row.log_id, row.task_id, row.message, row.data) for row in rows] == [
        (new_b, b, "new b", {"fraction": 0.5}),
        (new_a, a, None, None),  # no stream sends what a processor logged, and it may be long
    ]
    assert world.store.reads.watch({a: new_a, b: new_b}) == []
    assert [row.task_id for row in world.store.reads.watch({a: 0, b: 0}, limit=1)] == [a, b]


def test_a_stream_reads_the_status_of_its_tasks(world: World) -> None:
    a, b, c = world.submit(3)
    world.run([a])
    world.claim(world.worker(), [b])
    last = world.store.reads.logs(a)[-1].log_id
    found = {watched.task_id: watched for watched in world.store.reads.watched([a, b, c, uuid7()])}
    assert {i: (w.status, w.attempt, w.last_log_id) for i, w in found.items()} == {
        a: (Status.COMPLETED, 1, last),
        b: (Status.IN_PROGRESS, 1, 0),
        c: (Status.PENDING, 0, 0),
    }


# --- workers


def test_a_heartbeat_says_what_a_worker_does_and_that_it_lives(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    world.grow_old(worker)
    report = type(REPORT)("busy", task, "echo", 12.0, 5000, 3, 1)
    assert world.store.workers.beat(worker, report)
    query = (
        "SELECT state, task_id::text, task_type, extract(epoch FROM now() - task_started_at)::int, memory_bytes, "
        "completed, failed FROM workers"
    )
    assert world.rows(query) == [("busy", task, "echo", 12, 5000, 3, 1)]
    assert not world.store.workers.beat(uuid7(), report)


def test_a_worker_that_registers_again_after_a_lost_reply_is_registered_once(world: World) -> None:
    worker = WorkerIdentity(uuid7(), uuid7(), uuid7(), "node", "default", 0, 1, lease_seconds=120.0)
    world.store.workers.register(worker)
    first = world.store.workers.heartbeats()[worker.worker_id]
    world.store.workers.register(worker)
    assert world.rows("SELECT id::text, state FROM workers") == [(worker.worker_id, "ready")]
    second = world.store.workers.heartbeats()[worker.worker_id]
    assert (first.lease_seconds, second.lease_seconds) == (120.0, 120.0)
    assert first.at != second.at, "its lease counts from the second time"
    older = world.worker()
    assert world.store.workers.heartbeats()[older].lease_seconds == 0, "older code tells none"


def test_the_heartbeats_of_all_living_workers_are_read(world: World) -> None:
    fresh, silent, dead = world.worker(), world.worker(), world.worker()
    world.store.workers.retire(dead)
    before = world.store.workers.heartbeats()
    assert sorted(before) == sorted([fresh, silent])
    assert world.store.workers.beat(fresh, REPORT)
    after = world.store.workers.heartbeats()
    assert [worker for worker in before if before[worker] == after[worker]] == [silent]
    assert not world.store.workers.beat(dead, REPORT)


def test_the_workers_of_a_nodes_former_life_are_found_after_its_restart(world: World) -> None:
    node, before, now = uuid7(), uuid7(), uuid7()
    former, retired = world.worker(node, before), world.worker(node, before)
    world.worker(node, now)
    world.worker()
    world.store.workers.retire(retired)
    assert world.store.workers.former(node, now) == [former]


# --- the audit


def test_a_sound_system_has_no_violation(world: World) -> None:
    tasks = world.submit(6)
    world.claim(world.worker(), tasks[:2])
    world.run(tasks[2:4])
    world.store.tasks.cancel(tasks[4:5])
    world.check()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("DELETE FROM backlog", "no outcome, and in 0 backlog rows and 0 leases"),
        (
            "INSERT INTO leases (id, worker_id, task_ids) SELECT gen_random_uuid(), w.id, ARRAY[t.id] FROM tasks t, "
            "workers w",
            "in 1 backlog rows and 1 leases",
        ),
        ("UPDATE tasks SET outcome = 'completed'", "completed, and in 1 backlog rows"),
        (
            "WITH d AS (DELETE FROM backlog) INSERT INTO leases SELECT gen_random_uuid(), gen_random_uuid(), "
            "ARRAY[id] FROM tasks",
            "0 of them of living workers",
        ),
    ],
)
def test_the_audit_sees_a_task_that_is_not_in_exactly_one_place(world: World, damage: str, words: str) -> None:
    (task,) = world.submit()
    world.worker()
    world.rows(f"{damage} RETURNING 1")
    audited = world.store.audit.batch(None, 10)
    (violation,) = audited.violations
    assert (violation.task_id, audited.tasks, audited.after) == (task, 1, None)
    assert words in violation.words


def test_the_audit_sees_a_lease_of_a_worker_marked_dead_and_a_task_that_is_held_twice(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    world.claim(worker, [a])
    world.claim(world.worker(), [b])
    world.rows("UPDATE workers SET dead_at = now() WHERE id = %s RETURNING 1", worker)
    world.rows(
        "INSERT INTO leases (id, worker_id, task_ids) SELECT gen_random_uuid(), worker_id, task_ids FROM leases "
        "WHERE worker_id <> %s RETURNING 1",
        worker,
    )
    assert [violation.task_id for violation in world.store.audit.batch(None, 10).violations] == [a, b]


def test_the_audit_reads_all_tasks_in_bounded_batches(world: World) -> None:
    tasks = world.submit(5)
    world.rows("DELETE FROM backlog WHERE task_id = %s RETURNING 1", tasks[4])
    found, counts, after = list[str](), list[int](), None
    while not counts or after:
        audited = world.store.audit.batch(after, 2)
        found += [violation.task_id for violation in audited.violations]
        counts.append(audited.tasks)
        after = audited.after
        assert len(counts) < 10
    assert (found, counts) == ([tasks[4]], [2, 2, 1])


def test_the_parts_of_an_audit_contain_every_task_once(fresh_world: World) -> None:
    tasks = fresh_world.submit(500)
    assert len(fresh_world.store.audit.parts()) == 1
    fresh_world.execute("ANALYZE tasks")
    later = fresh_world.submit(3)  # since the statistics were made
    parts = fresh_world.store.audit.parts()
    assert len(parts) > 50
    fresh_world.rows("DELETE FROM backlog WHERE task_id = ANY (%s::uuid[]) RETURNING 1", [*tasks, *later])
    found = [fresh_world.store.audit.batch(after, 1000, until) for after, until in parts]
    assert [violation.task_id for part in found for violation in part.violations] == sorted([*tasks, *later])
    assert max(part.tasks for part in found) < 50


@pytest.mark.parametrize("place", ["backlog", "lease"])
def test_the_audit_sees_a_row_without_a_task(world: World, place: str) -> None:
    (task,) = world.submit()
    if place == "lease":
        world.claim(world.worker(), [task])
    assert world.store.audit.strays() == []
    world.rows("DELETE FROM tasks RETURNING 1")
    (stray,) = world.store.audit.strays()
    assert (stray.task_id, place in stray.words) == (task, True)
