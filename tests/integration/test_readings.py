"""Readings of real servers: waiting and running tasks, failures, the end of the log, and unreachable servers."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pika
import psycopg
import pytest
from pydantic import SecretStr

from dtqs.broker.topology import QUEUE
from dtqs.config import LeaseSection, PostgresqlSection, RabbitmqSection
from dtqs.readings import SystemLogRow, SystemReader, WorkerCounts
from dtqs.readings import following as following_module
from dtqs.readings.following import Following
from dtqs.settlement import Kind
from dtqs.store import Store, overview
from dtqs.store.workers import ProcessTotals, WorkerReport
from dtqs.task import Status
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World
from tests.support.helpers import eventually, free_port


@pytest.fixture
def reader(world: World, amqp_url: str) -> Iterator[SystemReader]:
    made = SystemReader(world.store, RabbitmqSection(url=SecretStr(amqp_url)), "the test's reader")
    yield made
    made.close()


@pytest.fixture
def fresh_reader(fresh_world: World, amqp_url: str) -> Iterator[SystemReader]:
    made = SystemReader(fresh_world.store, RabbitmqSection(url=SecretStr(amqp_url)), "the test's reader")
    yield made
    made.close()


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def messages(entries: list[SystemLogRow]) -> list[str | None]:
    return [entry.message for entry in entries]


def logged(world: World, count: int, level: str = "info", words: str = "line") -> str:
    """Write this many log rows of one task."""
    (task,) = world.submit()
    world.execute(
        "INSERT INTO logs (task_id, event, level, message)"
        f" SELECT '{task}', 'log', '{level}', '{words} ' || n FROM generate_series(1, {count}) n"
    )
    return task


# --- the backlog


def test_due_tasks_are_counted_by_priority_and_type_and_listed_in_their_order(
    world: World, reader: SystemReader
) -> None:
    low, high = world.submit(2, priority=1), world.submit(1, priority=9, task_type="image", tags=("电影",))
    scheduled = world.submit(1, due_at=in_seconds(3600))
    (retried,), (running,) = world.submit(), world.submit()
    world.run([retried], Kind.RETRY, delay_seconds=50.0)
    world.claim(world.worker(), [running])
    reading = reader.read()
    assert reading.depth is not None
    assert (reading.depth.pending, reading.depth.later, reading.depth.in_progress, reading.depth.more) == (
        3,
        2,
        1,
        False,
    )
    assert reading.depth.by_priority == (0, 2, 0, 0, 0, 0, 0, 0, 0, 1)
    assert dict(reading.depth.by_type) == {"echo": 2, "image": 1}
    assert [task.task_id for task in reading.next_tasks or ()] == [*high, *low]
    assert [(task.task_id, task.due, task.attempts) for task in reading.later_tasks or ()] == [
        (retried, False, 1),
        (scheduled[0], False, 0),
    ]
    assert (reading.next_tasks or ())[0].tags == ("电影",)


def test_due_tasks_are_found_behind_any_number_of_scheduled_ones(
    world: World, reader: SystemReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LOOK_LIMIT", 5)
    monkeypatch.setattr(overview, "LATER_LIMIT", 3)
    world.submit(20, due_at=in_seconds(86400))
    due = world.submit(3)
    # the broker has confirmed them: they are published again only after ten minutes
    world.execute("UPDATE backlog SET publish_at = now() + interval '9 min' WHERE due_at <= now()")
    reading = reader.read()
    assert reading.depth is not None
    assert [task.task_id for task in reading.next_tasks or ()] == due
    assert (reading.depth.pending, reading.depth.later, reading.depth.more) == (3, 3, True)


def test_tasks_of_higher_priority_are_found_behind_any_number_of_others(
    world: World, reader: SystemReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LOOK_LIMIT", 5)
    world.submit(20, priority=5)
    urgent = world.submit(2, priority=8)
    world.submit(3, priority=2)
    world.submit(1, priority=9, due_at=in_seconds(60))
    # the broker has confirmed them in this order: they are published again only after ten minutes
    world.execute(
        "UPDATE backlog SET publish_at = now() + interval '9 min' + interval '1 ms' * priority WHERE due_at <= now()"
    )
    reading = reader.read(next_limit=3)
    assert reading.depth is not None
    assert [task.task_id for task in reading.next_tasks or ()][:2] == urgent
    assert [task.priority for task in reading.next_tasks or ()] == [8, 8, 5]
    assert reading.depth.by_priority[8] == 2
    assert reading.depth.more


def test_due_tasks_are_found_behind_any_number_of_tasks_due_soon(
    world: World, reader: SystemReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LOOK_LIMIT", 5)
    world.submit(20, due_at=in_seconds(60))
    due = world.submit(2)
    world.execute("UPDATE backlog SET publish_at = now() + interval '9 min' WHERE due_at <= now()")
    reading = reader.read()
    assert reading.depth is not None
    assert (reading.depth.pending, [task.task_id for task in reading.next_tasks or ()]) == (2, due)


# --- processes, failures, latency


def test_workers_are_listed_with_the_progress_of_their_tasks(world: World, reader: SystemReader) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.report(lease, task, 1, "progress", "info", "", {"fraction": 0.25, "message": "one of four"})
    world.store.workers.beat(worker, WorkerReport("busy", task, "echo", 3.0, 64 << 20, 7, 1))
    world.store.workers.count(worker, "worker", "node", ProcessTotals(submitted=3, claimed=2, completed=7, failed=1))
    world.store.workers.count(uuid7(), "keeper", "node", ProcessTotals(published=4))
    reading = reader.read()
    (found,) = reading.workers or ()
    assert (found.worker_id, found.state, found.task_id, found.fraction, found.message) == (
        worker,
        "busy",
        task,
        0.25,
        "one of four",
    )
    assert (found.completed, found.failed, found.memory_bytes) == (7, 1, 64 << 20)
    assert 2.9 < (found.busy_seconds or 0) < 10
    assert [process.role for process in reading.processes or ()] == ["keeper"]
    assert reading.totals is not None
    assert (reading.totals.completed, reading.totals.published) == (7, 4)


def test_progress_is_read_from_the_end_of_a_tasks_log(world: World, reader: SystemReader) -> None:
    (task,), worker = world.submit(light=False), world.worker()
    lease = world.claim(worker, [task])
    world.store.leases.report(lease, task, 1, "progress", "info", "", {"fraction": 0.25})
    world.store.workers.beat(worker, WorkerReport("busy", task, "echo", 3.0, 64 << 20, 7, 1))
    line = (
        "INSERT INTO logs (task_id, event, level, message)"
        f" SELECT '{task}', 'log', 'info', 'line' FROM generate_series(1, 30)"
    )
    world.execute(line)
    assert [found.fraction for found in reader.read().workers or ()] == [0.25]
    world.execute(line)
    assert [found.fraction for found in reader.read().workers or ()] == [None]


def test_workers_beyond_the_first_are_counted(
    world: World, reader: SystemReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "WORKERS_LIMIT", 2)
    _, *others = [world.worker() for _ in range(3)]
    reading = reader.read()
    assert {worker.worker_id for worker in reading.workers or ()} == set(others)
    assert reading.more_workers == 1
    world.grow_old(others[0], 20.0)
    assert [worker.worker_id for worker in reader.read().workers or () if worker.late] == [others[0]]


def test_all_workers_count_also_those_beyond_the_first(
    world: World, reader: SystemReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "WORKERS_LIMIT", 1)
    monkeypatch.setattr(overview, "POOLS_LIMIT", 1)
    (task,) = world.submit()
    states: list[tuple[str, str | None, float]] = [
        ("busy", task, 1.0),
        ("draining", None, 1.0),
        ("ready", None, 20.0),
        ("ready", None, 40.0),
        ("ready", None, 1.0),
    ]
    workers = [world.worker() for _ in states]
    for worker, (state, task_id, age) in zip(workers, states, strict=True):
        world.store.workers.beat(worker, WorkerReport(state, task_id, "echo", 3.0, 64 << 20, 7, 1))
        world.grow_old(worker, age)
    world.execute(
        f"UPDATE workers SET slot = 3 WHERE id = '{workers[2]}'",
        f"UPDATE workers SET node_name = 'far' WHERE id = '{workers[3]}'",
        f"UPDATE workers SET node_name = 'quiet', dead_at = now() WHERE id = '{world.worker()}'",
        f"UPDATE workers SET slot = 5 WHERE id = '{workers[3]}'",
    )
    reading = reader.read()
    assert reading.worker_counts == WorkerCounts(
        workers=5, busy=1, late=2, live=4, draining=1, ready=3, nodes=2, late_pools=2
    )
    (pool,) = reading.worker_pools or ()
    assert pool.late == 1, "those with most late workers come first"
    world.execute(f"UPDATE workers SET node_name = 'node' WHERE id = '{workers[3]}'")
    (pool,) = reader.read().worker_pools or ()
    assert (pool.node_name, pool.pool, pool.workers, pool.busy, pool.late, pool.late_slot) == (
        "node",
        "default",
        5,
        1,
        2,
        3,
    )
    assert 39 < pool.longest_seconds < 60


def test_the_database_tells_its_clock(world: World, reader: SystemReader) -> None:
    reading = reader.read()
    assert abs(reading.clock_ahead_seconds or 9.0) < 0.5, "here both have the same clock"


def test_failures_and_planned_retries_are_listed_newest_first_with_their_reason(
    world: World, reader: SystemReader
) -> None:
    tasks = world.submit(3)
    for task, message in ((tasks[1], "first"), (tasks[0], "second")):
        world.run([task], Kind.FAILED, value=f'{{"type": "X", "message": "{message}"}}')
    world.run([tasks[2]], Kind.RETRY, value='{"type": "X", "message": "third"}', delay_seconds=60.0)
    told = [(failure.task_id, failure.status, failure.message) for failure in reader.read().failures or ()]
    assert told == [
        (tasks[2], Status.PENDING, "third"),
        (tasks[0], Status.FAILED, "second"),
        (tasks[1], Status.FAILED, "first"),
    ]


def test_the_latency_is_measured_on_the_latest_completed_tasks(world: World, reader: SystemReader) -> None:
    empty = reader.read().latency
    assert empty is not None
    assert empty.wait_p50 is None
    tasks = world.submit(4)
    world.run(tasks)
    world.execute(
        "UPDATE tasks SET created_at = started_at - interval '2 s', finished_at = started_at + interval '0.5 s'"
    )
    latency = reader.read().latency
    assert latency is not None
    assert latency.wait_p50 == pytest.approx(2.0)
    assert latency.run_p95 == pytest.approx(0.5)


# --- the log


def test_the_newest_log_rows_come_oldest_first_and_are_filtered(world: World, reader: SystemReader) -> None:
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
    assert messages(reader.newest_logs(1)) == ["newer 1"]


def test_the_newest_log_rows_are_found_in_any_page_of_their_table(
    fresh_world: World, fresh_reader: SystemReader
) -> None:
    task = fresh_world.submit()[0]
    fill = (
        "INSERT INTO logs (task_id, event, level, message)"
        f" SELECT '{task}', 'log', 'info', repeat('x', mod(n * 7919, 300)) FROM generate_series(1, 400) n"
    )
    fresh_world.execute(*[fill] * 100, "VACUUM logs")
    for n in range(300):
        fresh_world.execute(
            f"INSERT INTO logs (task_id, event, level, message) VALUES ('{task}', 'log', 'info', '{n}')"
        )
    (pages,) = fresh_world.rows("SELECT count(DISTINCT (ctid::text::point)[0]) FROM logs WHERE length(message) < 4")[0]
    assert pages > 100, "the rows must spread over many pages"
    assert messages(fresh_reader.newest_logs(300)) == [str(n) for n in range(300)]
    assert messages(fresh_reader.newest_logs(2, search="17")) == ["179", "217"]


def test_a_task_waiting_for_its_retry_is_listed_wherever_its_log_row_is_stored(
    fresh_world: World, fresh_reader: SystemReader
) -> None:
    task = fresh_world.submit()[0]
    fill = (
        "INSERT INTO logs (task_id, event, level, message)"
        f" SELECT '{task}', 'log', 'info', repeat('x', mod(n * 7919, 300)) FROM generate_series(1, 400) n"
    )
    fresh_world.execute(*[fill] * 50, "UPDATE logs SET at = now() - interval '2 min'", "VACUUM logs")
    (other,) = fresh_world.submit()
    fresh_world.run([other], Kind.RETRY, value='{"message": "no"}', delay_seconds=60.0)
    assert [failure.task_id for failure in fresh_reader.read().failures or ()] == [other]


def test_the_search_for_a_rare_line_goes_back_a_limited_number_of_rows(
    world: World, reader: SystemReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(world, 1, words="needle")
    logged(world, 3000)
    world.execute("UPDATE logs SET at = now() - interval '0.01 s' * ((SELECT max(id) FROM logs) - logs.id)")
    monkeypatch.setattr(overview, "LOG_LOOKS", (100, 500))
    assert messages(reader.newest_logs(9, search="needle")) == []
    monkeypatch.setattr(overview, "LOG_LOOKS", (100, 500, 5000))
    assert messages(reader.newest_logs(9, search="needle")) == ["needle 1"]
    assert len({entry.log_id for entry in reader.newest_logs(2500)}) == 2500


def test_the_log_is_found_behind_a_pause(fresh_world: World, fresh_reader: SystemReader) -> None:
    logged(fresh_world, 5)
    fresh_world.execute(
        "SELECT make_logs_partition((now() - interval '25 days')::date)",
        "UPDATE logs SET at = now() - interval '25 days'",
    )
    assert len(fresh_reader.newest_logs(9)) == 5
    logged(fresh_world, 1, words="newer")
    assert messages(fresh_reader.newest_logs(2)) == ["line 5", "newer 1"]


# --- new log rows


def test_each_new_row_is_returned_once_in_any_number(world: World, reader: SystemReader) -> None:
    logged(world, 3, words="old")
    following = Following(reader, None, None)
    assert messages(following.begin(2)) == ["old 2", "old 3"]
    assert messages(list(following.new())) == []
    logged(world, 3000)
    assert messages(list(following.new())) == [f"line {n}" for n in range(1, 3001)]
    logged(world, 1, words="newer")
    assert messages(list(following.new())) == ["newer 1"]


def test_a_row_that_commits_late_is_returned_too(world: World, reader: SystemReader) -> None:
    (task,) = world.submit()
    following = Following(reader, "warning", None)
    following.begin(10)
    with psycopg.connect(world.section.dsn.get_secret_value()) as late:
        late.execute("INSERT INTO logs (task_id, event, level, message) VALUES (%s, 'log', 'error', 'late')", (task,))
        logged(world, 1, "warning", "quick")
        assert messages(list(following.new())) == ["quick 1"]
        late.commit()
    assert messages(list(following.new())) == ["late"]


def test_a_reader_that_returns_after_a_long_time_gets_every_row(
    world: World, reader: SystemReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "SPAN_SECONDS", 2.0)
    monkeypatch.setattr(following_module, "LATE_SECONDS", 0.5)
    following = Following(reader, None, None)
    following.begin(10)
    world.execute("SELECT pg_sleep(3)")
    logged(world, 2)
    assert messages(list(following.new())) == ["line 1", "line 2"]


# --- servers


def test_the_queue_is_reported_and_so_is_its_absence(reader: SystemReader, amqp_url: str) -> None:
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


def test_unreachable_servers_are_reported_soon_and_raise_nothing() -> None:
    section = PostgresqlSection(dsn=SecretStr(f"postgresql://dtqs@127.0.0.1:{free_port()}/dtqs"))
    store = Store(section, LeaseSection(), 1, "nowhere")
    reader = SystemReader(
        store, RabbitmqSection(url=SecretStr(f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F")), "nowhere"
    )
    began = time.monotonic()
    reading = reader.read()
    assert time.monotonic() - began < 8
    assert (reading.database.state, reading.broker.state) == ("away", "away")
    assert (reading.totals, reading.workers, reading.depth, reading.queue) == (None, None, None, None)
    assert len(reading.alarms) == 2
    reader.close()
    reader.close()
