"""The effect of a finish, a give back and a cancel on each task, its files, failures and log rows."""

from datetime import UTC, datetime, timedelta

import pytest

from dtqs.event import decode_events, encode_events, sealed_row
from dtqs.settlement import Kind, Settlement
from dtqs.task import OutputFile
from dtqs.uuid7 import uuid7
from tests.support.fix_store import DIED, World, settled

ERROR = '{"message": "no luck", "type": "TransientError"}'
BOTH_WAYS = pytest.mark.parametrize(
    "files", [(), (OutputFile(uuid7(), "x", "text/plain", 1, "ab"),)], ids=["without files", "with files"]
)
"""Tasks that are completed without files, and all of their lease, have a statement of their own."""


# --- finish


@BOTH_WAYS
def test_a_completed_task_keeps_its_result_and_its_worker(world: World, files: tuple[OutputFile, ...]) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    started = world.value("SELECT started_at FROM leases")
    ((log_id, ref, event),) = world.store.leases.finish(
        lease, [Settlement(task, Kind.COMPLETED, '{"a": [1]}', files=files)]
    )
    (log,) = world.store.reads.logs(task)
    record = world.store.reads.task(task)
    assert (ref, event, log_id) == (task, "completed", log.log_id)
    assert (record.status, record.result, record.error, record.attempt) == ("completed", {"a": [1]}, None, 1)
    assert (log.attempt, log.worker_id, log.level, log.data) == (1, worker, "info", None)
    assert world.rows("SELECT started_at, finished_at >= started_at, worker_id::text FROM tasks") == [
        (started, True, worker)
    ]
    assert world.value("SELECT count(*) FROM failures") == 0
    world.check()


def test_completed_tasks_keep_their_own_results_in_any_order(world: World) -> None:
    worker = world.worker()
    for order in (1, -1):
        tasks = world.submit(3)
        lease = world.claim(worker, tasks)
        refs = world.store.leases.finish(
            lease, [Settlement(task, Kind.COMPLETED, f'{{"of": "{task}"}}') for task in tasks[::order]]
        )
        assert sorted(ref[1:] for ref in refs) == [(task, "completed") for task in tasks]
        assert [world.store.reads.task(task).result for task in tasks] == [{"of": task} for task in tasks]
    world.check()


ODD = '{"b": 1.10, "a": [1e0, 123456789012345678901, "\\u00e9", {"x": null, "x": 2}]}'


def test_the_told_outcomes_are_the_records_that_readers_get(world: World) -> None:
    """Their text goes into events, in place of a read."""
    fields = {"payload": ODD, "tags": ("x", "y z"), "priority": 7, "origin": "a-request 00-trace"}
    owner, _ = world.store.api_keys.create("its owner", ("submit",))
    (cancelled,) = world.submit()
    world.store.tasks.cancel([cancelled])
    retry = uuid7()
    assert world.store.tasks.retry(cancelled, retry)
    due = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    tasks = [*world.submit(1, **fields), *world.submit(1, submitted_by=owner), *world.submit(1, due_at=due), retry]
    tasks, worker = sorted(tasks), world.worker()
    lease = world.claim(worker, tasks)
    rows, outcomes = world.store.leases.complete_few(lease, settled(tasks, value=ODD))
    ids = {task_id: log_id for log_id, task_id, _ in rows}
    logs = {task: world.store.reads.logs(task) for task in tasks}
    assert ids == {task: log.log_id for task, (log,) in logs.items()}
    assert {(log.event, log.attempt, log.worker_id, log.level) for (log,) in logs.values()} == {
        ("completed", 1, worker, "info")
    }
    assert {event for _, _, event in rows} == {"completed"}
    body = encode_events([*rows, sealed_row("", f"[{','.join(outcomes)}]")])
    events = decode_events(body, set(tasks), lambda *_: True)
    assert {event.task_id: event.outcome for event in events} == {one: world.store.reads.task(one) for one in tasks}
    assert world.value("SELECT count(*) FROM leases") == 0
    world.check()


def test_a_lease_that_is_gone_or_holds_other_tasks_is_not_told(world: World) -> None:
    tasks, worker = world.submit(2), world.worker()
    lease = world.claim(worker, tasks)
    assert world.store.leases.complete_few(lease, settled(tasks[:1])) == ([], [])
    assert world.statuses(tasks) == ["in_progress"] * 2
    world.store.leases.reclaim(worker, DIED)
    assert world.store.leases.complete_few(lease, settled(tasks)) == ([], [])
    assert world.statuses(tasks) == ["pending"] * 2
    world.check()


def test_a_failed_task_keeps_its_error_and_is_listed(world: World) -> None:
    (task,) = world.submit()
    world.run([task], Kind.FAILED, value=ERROR)
    record, (log,) = world.store.reads.task(task), world.store.reads.logs(task)
    assert (record.status, record.result, record.error) == (
        "failed",
        None,
        {"message": "no luck", "type": "TransientError"},
    )
    assert (log.event, log.level, log.message, log.data) == ("failed", "error", "no luck", record.error)
    assert record.finished_at is not None
    assert world.rows("SELECT task_id::text, outcome, task_type FROM failures") == [(task, "failed", "echo")]
    world.check()


def test_a_task_to_be_retried_is_pending_until_its_delay_is_over(world: World) -> None:
    (task,) = world.submit()
    world.run([task], Kind.RETRY, value=ERROR, delay_seconds=60.0)
    record, (log,) = world.store.reads.task(task), world.store.reads.logs(task)
    assert (record.status, record.attempt, record.error, record.finished_at) == (
        "pending",
        1,
        {"message": "no luck", "type": "TransientError"},
        None,
    )
    assert (log.event, log.level, log.attempt, log.message) == ("pending", "warning", 1, "no luck")
    assert world.rows(
        "SELECT publish_at = due_at, extract(epoch FROM due_at - now())::int BETWEEN 58 AND 60, light FROM backlog"
    ) == [(True, True, False)]
    assert world.value("SELECT count(*) FROM failures") == 0
    world.check()


def test_a_retry_after_no_delay_has_the_grace_for_its_hint(world: World) -> None:
    (task,) = world.submit()
    world.run([task], Kind.RETRY)
    assert world.value("SELECT publish_at - due_at = interval '5 s' AND due_at <= now() FROM backlog")


@pytest.mark.parametrize("max_retries", [0, 2])
def test_a_task_fails_when_its_retries_are_spent(world: World, max_retries: int) -> None:
    (task,) = world.submit(max_retries=max_retries)
    for _ in range(max_retries):
        world.run([task], Kind.RETRY)
        assert world.status(task) == "pending"
    world.run([task], Kind.RETRY, value=ERROR)
    record = world.store.reads.task(task)
    assert (record.status, record.attempt) == ("failed", max_retries + 1)
    assert record.error == {"message": "no luck", "type": "TransientError"}
    assert record.finished_at is not None
    assert world.store.reads.logs(task)[-1].level == "error"
    assert world.value("SELECT count(*) FROM failures") == 1
    world.check()


@BOTH_WAYS
def test_a_completed_task_forgets_the_error_of_an_earlier_attempt(world: World, files: tuple[OutputFile, ...]) -> None:
    (task,) = world.submit()
    world.run([task], Kind.RETRY, value=ERROR)
    world.store.leases.finish(
        world.claim(world.worker(), [task]), [Settlement(task, Kind.COMPLETED, "{}", files=files)]
    )
    assert (world.store.reads.task(task).error, world.attempts(task)) == (None, 2)


def test_a_finish_settles_each_task_in_its_own_way(world: World) -> None:
    a, b, c, d = world.submit(4)
    lease = world.claim(world.worker(), [a, b, c, d])
    mixed = [*settled([d], Kind.UNSPENT), *settled([c], Kind.RETRY), *settled([a]), *settled([b], Kind.FAILED)]
    refs = world.store.leases.finish(lease, mixed)
    assert sorted(ref[1:] for ref in refs) == [(a, "completed"), (b, "failed"), (c, "pending"), (d, "pending")]
    assert [world.attempts(task) for task in (a, b, c, d)] == [1, 1, 1, 0]
    assert world.rows("SELECT task_id::text, light FROM backlog ORDER BY task_id") == [(c, False), (d, True)]
    world.check()


def test_tasks_that_a_finish_does_not_name_are_given_back_unspent(world: World) -> None:
    a, b = world.submit(2)
    lease = world.claim(world.worker(), [a, b])
    world.store.leases.finish(lease, settled([a]))
    assert world.statuses([a, b]) == ["completed", "pending"]
    assert (world.attempts(b), world.events(b)) == (0, ["pending"])
    world.check()


def test_a_finish_does_not_touch_tasks_outside_its_lease(world: World) -> None:
    (a, b), worker = world.submit(2), world.worker()
    lease, other = world.claim(worker, [a]), world.claim(worker, [b])
    world.store.leases.finish(lease, settled([a, b]))
    assert world.statuses([a, b]) == ["completed", "in_progress"]
    world.store.leases.finish(other, settled([b], Kind.FAILED))
    assert world.status(b) == "failed"
    world.check()


def test_a_finish_whose_lease_is_gone_writes_nothing(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.finish(lease, settled([task]))
    assert world.store.leases.finish(lease, settled([task], Kind.FAILED)) == []
    assert world.store.leases.finish(uuid7(), settled([task], Kind.FAILED)) == []
    assert (world.status(task), world.events(task), world.attempts(task)) == ("completed", ["completed"], 1)


@pytest.mark.parametrize(("first", "second"), [("completed", Kind.FAILED), ("failed", Kind.COMPLETED)])
def test_an_outcome_is_never_overwritten(world: World, first: str, second: Kind) -> None:
    # no code path leads here; the statements protect the outcome themselves
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    world.rows("UPDATE tasks SET outcome = %s RETURNING 1", first)
    assert world.store.leases.finish(lease, settled([task], second)) == []
    assert world.status(task) == first


def test_a_give_back_leaves_a_task_as_it_was(world: World) -> None:
    (task,) = world.submit()
    world.run([task], Kind.RETRY, value=ERROR)
    before = world.rows("SELECT attempts, error, started_at, worker_id, outcome, finished_at FROM tasks")
    world.store.leases.give_back(world.claim(world.worker(), [task]))
    assert world.rows("SELECT attempts, error, started_at, worker_id, outcome, finished_at FROM tasks") == before
    assert world.rows("SELECT due_at <= now(), publish_at - due_at = interval '5 s' FROM backlog") == [(True, True)]
    log = world.store.reads.logs(task)[-1]
    assert (log.event, log.level, log.message, log.data, log.attempt) == ("pending", "info", "given back", None, 2)
    world.check()


def test_a_give_back_of_the_last_attempt_is_not_its_failure(world: World) -> None:
    (task,) = world.submit(max_retries=0)
    world.store.leases.give_back(world.claim(world.worker(), [task]))
    assert (world.status(task), world.attempts(task)) == ("pending", 0)
    world.check()


def test_the_files_of_a_completed_task_get_their_rows(world: World) -> None:
    owner = uuid7()
    a, b = world.submit(2, submitted_by=owner)
    mine, lost = (
        OutputFile(uuid7(), "one.jpg", "image/jpeg", 12, "ab"),
        OutputFile(uuid7(), "two.jpg", "image/jpeg", 1, "cd"),
    )
    lease = world.claim(world.worker(), [a, b])
    world.store.leases.finish(
        lease, [Settlement(a, Kind.COMPLETED, "{}", files=(mine,)), Settlement(b, Kind.RETRY, ERROR, files=(lost,))]
    )
    row = world.store.files.get(mine.file_id, owner)
    assert (row.name, row.media_type, row.size_bytes, row.sha256) == ("one.jpg", "image/jpeg", 12, "ab")
    assert world.rows("SELECT id::text, task_id::text FROM files") == [(mine.file_id, a)]


def test_a_worker_that_was_judged_dead_delivers_no_files(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.reclaim(worker, DIED)
    world.store.leases.finish(
        lease, [Settlement(task, Kind.COMPLETED, "{}", files=(OutputFile(uuid7(), "x", "text/plain", 1, "ab"),))]
    )
    assert world.value("SELECT count(*) FROM files") == 0


# --- a cancel request


@pytest.mark.parametrize("kind", [Kind.RETRY, Kind.UNSPENT])
def test_a_task_without_an_outcome_but_with_a_cancel_request_ends_as_cancelled(world: World, kind: Kind) -> None:
    (task,) = world.submit()
    lease = world.claim(world.worker(), [task])
    world.store.tasks.cancel([task])
    (ref,) = world.store.leases.finish(lease, settled([task], kind))
    record, log = world.store.reads.task(task), world.store.reads.logs(task)[-1]
    assert (ref[2], record.status, world.attempts(task)) == ("cancelled", "cancelled", int(kind is Kind.RETRY))
    assert (log.event, log.level, record.finished_at is not None) == ("cancelled", "info", True)
    assert world.rows("SELECT outcome FROM failures") == [("cancelled",)]
    world.check()


def test_a_cancel_request_beats_the_last_attempts_failure(world: World) -> None:
    (task,) = world.submit(max_retries=0)
    lease = world.claim(world.worker(), [task])
    world.store.tasks.cancel([task])
    world.store.leases.finish(lease, settled([task], Kind.RETRY))
    assert world.status(task) == "cancelled"


@pytest.mark.parametrize("kind", [Kind.COMPLETED, Kind.FAILED])
def test_an_outcome_beats_a_cancel_request(world: World, kind: Kind) -> None:
    (task,) = world.submit()
    lease = world.claim(world.worker(), [task])
    world.store.tasks.cancel([task])
    world.store.leases.finish(lease, settled([task], kind))
    assert world.status(task) == kind
    world.check()


def test_a_pending_task_is_cancelled_at_once(world: World) -> None:
    a, b = world.submit(2, delay_seconds=60.0)
    cancelled = world.store.tasks.cancel([b, a, a])
    assert sorted((c.task_id, c.ended) for c in cancelled) == [(a, True), (b, True)]
    record, (log,) = world.store.reads.task(a), world.store.reads.logs(a)
    assert (record.status, record.finished_at is not None, record.attempt, world.attempts(a)) == (
        "cancelled",
        True,
        0,
        0,
    )
    assert log.log_id in [c.log_id for c in cancelled]
    assert sorted(world.rows("SELECT task_id::text, outcome FROM failures")) == [(a, "cancelled"), (b, "cancelled")]
    world.check()


def test_a_task_with_an_outcome_cannot_be_cancelled(world: World) -> None:
    a, b = world.submit(2)
    world.run([a])
    assert [c.task_id for c in world.store.tasks.cancel([a, b, uuid7()])] == [b]
    assert world.store.tasks.cancel([a, b]) == []
    assert world.value("SELECT cancel_requested_at IS NULL FROM tasks WHERE id = %s", a)
    assert world.statuses([a, b]) == ["completed", "cancelled"]
    world.check()


def test_a_second_cancel_request_leaves_the_time_of_the_first(world: World) -> None:
    (task,) = world.submit()
    world.claim(world.worker(), [task])
    world.store.tasks.cancel([task])
    first = world.value("SELECT cancel_requested_at FROM tasks")
    assert [c.ended for c in world.store.tasks.cancel([task])] == [False]
    assert world.value("SELECT cancel_requested_at FROM tasks") == first


def test_a_cancelled_task_has_one_row_for_its_outcome(world: World) -> None:
    (task,) = world.submit()
    lease = world.claim(world.worker(), [task])
    world.store.tasks.cancel([task])
    assert world.events(task) == []
    world.store.leases.give_back(lease)
    assert world.events(task) == ["cancelled"]
