"""Readings of real servers: what waits, what runs, what failed and why; the end of the log; and servers that are away."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pika
import pytest
from pydantic import SecretStr

from dtqs.broker.topology import QUEUE
from dtqs.config import LeaseSection, PostgresqlSection, RabbitmqSection
from dtqs.readings import LogEntry, Reader
from dtqs.settlement import Kind
from dtqs.store import Store, overview
from dtqs.store.workers import Totals, WorkerReport
from dtqs.task import Status
from dtqs.uuid7 import uuid7
from tests.fix_store import World
from tests.helpers import eventually, free_port


@pytest.fixture
def reader(world: World, amqp_url: str) -> Iterator[Reader]:
    made = Reader(world.store, RabbitmqSection(url=SecretStr(amqp_url)), "the test's reader")
    yield made
    made.close()


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def messages(entries: list[LogEntry]) -> list[str | None]:
    return [entry.message for entry in entries]


def logged(world: World, count: int, level: str = "info", words: str = "line") -> str:
    """Write so many log rows of one task."""
    (task,) = world.submit()
    world.execute(f"INSERT INTO logs (task_id, event, level, message) SELECT '{task}', 'log', '{level}', '{words} ' || n FROM generate_series(1, {count}) n")
    return task


# --- the backlog


def test_what_is_due_is_counted_by_priority_and_type_and_comes_in_its_order(world: World, reader: Reader) -> None:
    low, high = world.submit(2, priority=1), world.submit(1, priority=9, task_type="image", tags=("电影",))
    scheduled = world.submit(1, due_at=in_seconds(3600))
    (retried,), (running,) = world.submit(), world.submit()
    world.run([retried], Kind.RETRY, delay_seconds=50.0)
    world.claim(world.worker(), [running])
    reading = reader.read()
    assert reading.depth is not None
    assert (reading.depth.pending, reading.depth.later, reading.depth.in_progress, reading.depth.more) == (3, 2, 1, False)
    assert reading.depth.by_priority == (0, 2, 0, 0, 0, 0, 0, 0, 0, 1)
    assert dict(reading.depth.by_type) == {"echo": 2, "image": 1}
    assert [task.task_id for task in reading.next_tasks or ()] == [*high, *low]
    assert [(task.task_id, task.due, task.attempts) for task in reading.later_tasks or ()] == [(retried, False, 1), (scheduled[0], False, 0)]
    assert (reading.next_tasks or ())[0].tags == ("电影",)


def test_what_is_due_is_found_behind_any_number_of_scheduled_tasks(world: World, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "LOOK_LIMIT", 5)
    monkeypatch.setattr(overview, "LATER_LIMIT", 3)
    world.submit(20, due_at=in_seconds(86400))
    due = world.submit(3)
    # confirmed by the broker: published again only after ten minutes
    world.execute("UPDATE backlog SET publish_at = now() + interval '9 min' WHERE due_at <= now()")
    reading = reader.read()
    assert reading.depth is not None
    assert [task.task_id for task in reading.next_tasks or ()] == due
    assert (reading.depth.pending, reading.depth.later, reading.depth.more) == (3, 3, True)


# --- processes, failures, latency


def test_workers_are_told_with_the_progress_of_what_they_run(world: World, reader: Reader) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.report(lease, task, 1, "progress", "info", "", {"fraction": 0.25, "message": "one of four"})
    world.store.workers.beat(worker, WorkerReport("busy", task, "echo", 3.0, 64 << 20, 7, 1))
    world.store.workers.count(worker, "worker", "node", Totals(submitted=3, claimed=2, completed=7, failed=1))
    world.store.workers.count(uuid7(), "keeper", "node", Totals(published=4))
    reading = reader.read()
    (found,) = reading.workers or ()
    assert (found.worker_id, found.state, found.task_id, found.fraction, found.message) == (worker, "busy", task, 0.25, "one of four")
    assert (found.completed, found.failed, found.memory_bytes) == (7, 1, 64 << 20)
    assert 2.9 < (found.busy_seconds or 0) < 10
    assert [process.role for process in reading.processes or ()] == ["keeper"]
    assert reading.totals is not None
    assert (reading.totals.completed, reading.totals.published) == (7, 4)


def test_failures_are_told_newest_first_with_their_reason_and_so_are_retries_to_come(world: World, reader: Reader) -> None:
    tasks = world.submit(3)
    for task, message in ((tasks[1], "first"), (tasks[0], "second")):
        world.run([task], Kind.FAILED, value=f'{{"type": "X", "message": "{message}"}}')
    world.run([tasks[2]], Kind.RETRY, value='{"type": "X", "message": "third"}', delay_seconds=60.0)
    told = [(failure.task_id, failure.status, failure.message) for failure in reader.read().failures or ()]
    assert told == [(tasks[2], Status.PENDING, "third"), (tasks[0], Status.FAILED, "second"), (tasks[1], Status.FAILED, "first")]


def test_latency_is_that_of_the_tasks_that_completed_last(world: World, reader: Reader) -> None:
    empty = reader.read().latency
    assert empty is not None
    assert empty.wait_p50 is None
    tasks = world.submit(4)
    world.run(tasks)
    world.execute("UPDATE tasks SET created_at = started_at - interval '2 s', finished_at = started_at + interval '0.5 s'")
    latency = reader.read().latency
    assert latency is not None
    assert latency.wait_p50 == pytest.approx(2.0)
    assert latency.run_p95 == pytest.approx(0.5)


# --- the log


def test_the_newest_log_rows_come_oldest_first_and_are_filtered(world: World, reader: Reader) -> None:
    first = logged(world, 3)
    second = logged(world, 2, "error", "trouble")
    assert messages(reader.newest_logs(3)) == ["line 3", "trouble 1", "trouble 2"]
    assert messages(reader.newest_logs(9, level="warning")) == ["trouble 1", "trouble 2"]
    assert messages(reader.newest_logs(2, task_id=first)) == ["line 2", "line 3"]
    assert messages(reader.newest_logs(9, search="TROUBLE 2")) == ["trouble 2"]
    assert messages(reader.newest_logs(1, search=second[:30])) == ["trouble 2"]
    (last,) = reader.newest_logs(1)
    assert last.task_type == "echo"
    logged(world, 1, words="newer")
    assert messages(reader.newest_logs(9, after_log_id=last.log_id)) == ["newer 1"]


def test_a_rare_line_is_searched_for_further_back_but_only_so_far(world: World, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    logged(world, 1, words="needle")
    logged(world, 3000)
    monkeypatch.setattr(overview, "_LOG_PAGES", (1, 2))
    assert messages(reader.newest_logs(9, search="needle")) == []
    monkeypatch.setattr(overview, "_LOG_PAGES", (1, 2, 4, 512))
    assert messages(reader.newest_logs(9, search="needle")) == ["needle 1"]
    assert len({entry.log_id for entry in reader.newest_logs(2500)}) == 2500


# --- servers


def test_the_queue_is_told_and_when_it_is_missing(reader: Reader, amqp_url: str) -> None:
    assert any("task_queue is missing" in alarm for alarm in reader.read().alarms)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        channel.basic_publish("", QUEUE, b"x")

        def ready() -> int:
            queue = reader.read().queue
            return queue.ready if queue else 0

        assert eventually(ready, 5) == 1
        channel.queue_delete(QUEUE)
    assert eventually(lambda: any("task_queue is missing" in alarm for alarm in reader.read().alarms), 5)


def test_servers_that_are_away_are_told_soon_and_nothing_is_raised() -> None:
    section = PostgresqlSection(dsn=SecretStr(f"postgresql://dtqs@127.0.0.1:{free_port()}/dtqs"))
    store = Store(section, LeaseSection(), 1, "nowhere")
    reader = Reader(store, RabbitmqSection(url=SecretStr(f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F")), "nowhere")
    began = time.monotonic()
    reading = reader.read()
    assert time.monotonic() - began < 8
    assert (reading.database.state, reading.broker.state) == ("away", "away")
    assert (reading.totals, reading.workers, reading.depth, reading.queue) == (None, None, None, None)
    assert len(reading.alarms) == 2
    reader.close()
    reader.close()
