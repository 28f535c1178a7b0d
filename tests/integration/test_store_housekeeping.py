"""The rows that the keeper removes at their time, those that it must leave, and days of logs beside readers."""

import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from dtqs.config import FilesSection, load
from dtqs.errors import StoreUnavailable
from dtqs.files import FileSpace
from dtqs.keeper.prune import BATCH, Prune
from dtqs.settlement import Kind
from dtqs.store.backlog import FIRST_ID
from dtqs.store.housekeeping import ExpiredDays
from dtqs.store.measures import Measures
from dtqs.store.tasks import IdempotencyKey
from dtqs.store.workers import COUNTED, ProcessTotals
from dtqs.task import NewTask, OutputFile
from dtqs.uuid7 import first_uuid7, uuid7
from tests.support.fix_store import World

OLD_DAY = datetime.now(UTC).date() - timedelta(days=40)
OLD_PARTITION = f"logs_{OLD_DAY:%Y%m%d}"


def age(world: World, table: str, column: str, days: float) -> None:
    world.rows(f"UPDATE {table} SET {column} = {column} - %s * interval '1 day' RETURNING 1", days)


# --- tasks


def submit_old(world: World, count: int, days: float = 40) -> list[str]:
    """Submit tasks whose ids are this many days old."""
    ids = [first_uuid7(time.time() - days * 86400 + number) for number in range(count)]
    world.store.tasks.insert([NewTask(task_id, "echo", True, "{}") for task_id in ids])
    return ids


def test_tasks_are_removed_after_the_retention_of_their_outcome(world: World) -> None:
    old, failed, pending, running, late = submit_old(world, 5)
    world.run([old])
    world.run([failed], Kind.FAILED)
    world.claim(world.worker(), [running])
    age(world, "tasks", "finished_at", 31)
    world.run([late])
    assert world.store.housekeeping.prune_tasks(FIRST_ID, 30, 10) == (late, 2)
    assert [row[0] for row in world.rows("SELECT id::text FROM tasks ORDER BY id")] == [pending, running, late]
    assert world.value("SELECT count(*) FROM failures") == 0
    world.check()


def test_pruning_reads_no_younger_tasks(world: World) -> None:
    world.run(submit_old(world, 1, days=29))
    age(world, "tasks", "finished_at", 31)
    assert world.store.housekeeping.prune_tasks(FIRST_ID, 30, 10) == (None, 0)


def test_the_longest_retention_removes_nothing(world: World) -> None:
    world.run(submit_old(world, 1))
    world.store.files.insert(OutputFile(uuid7(), "x", "text/plain", 1, "ab"), None)
    assert world.store.housekeeping.prune_tasks(FIRST_ID, 36500, 10) == (None, 0)
    assert world.store.housekeeping.expire_files(36500, 10) == []
    assert world.store.housekeeping.drop_partitions(3650).dropped == []


def test_pruning_walks_a_bounded_number_of_rows_at_a_time(world: World) -> None:
    tasks = submit_old(world, 5)
    world.run(tasks)
    age(world, "tasks", "finished_at", 40)
    assert world.store.housekeeping.prune_tasks(FIRST_ID, 30, 2) == (tasks[1], 2)
    assert world.store.housekeeping.prune_tasks(tasks[1], 30, 10) == (tasks[4], 3)
    assert world.store.housekeeping.prune_tasks(tasks[4], 30, 10) == (None, 0)


def test_pruning_does_not_read_skipped_tasks_again(world: World) -> None:
    tasks = submit_old(world, 3)
    world.run(tasks[2:])
    age(world, "tasks", "finished_at", 40)
    assert world.store.housekeeping.prune_tasks(FIRST_ID, 30, 2) == (tasks[1], 0)
    assert world.store.housekeeping.prune_tasks(tasks[1], 30, 2) == (tasks[2], 1)


# --- small things


def test_old_idempotency_keys_and_dead_workers_are_removed(world: World) -> None:
    for _ in range(2):
        world.store.tasks.insert_once([NewTask(uuid7(), "echo", True, "{}")], IdempotencyKey(uuid7(), "k", b"x", 24.0))
    world.rows(
        "UPDATE idempotency_keys SET created_at = now() - interval '25 h'"
        " WHERE key IN (SELECT key FROM idempotency_keys LIMIT 1)"
        " AND api_key_id IN (SELECT api_key_id FROM idempotency_keys LIMIT 1) RETURNING 1"
    )
    dead, recent, holding, alive = (world.worker() for _ in range(4))
    world.claim(holding, world.submit())
    world.rows(
        "UPDATE workers SET dead_at = now() - interval '25 h' WHERE id = ANY (%s::uuid[]) RETURNING 1", [dead, holding]
    )
    world.store.workers.retire(recent)
    world.store.housekeeping.prune_small(24.0, 100)
    assert world.value("SELECT count(*) FROM idempotency_keys") == 1
    assert {row[0] for row in world.rows("SELECT id::text FROM workers")} == {recent, holding, alive}


def test_old_rows_are_removed_until_none_remains(world: World) -> None:
    many = BATCH + 1
    world.rows(
        "INSERT INTO idempotency_keys SELECT gen_random_uuid(), 'k', 'x', '{}', now() - interval '25 h' FROM "
        "generate_series(1, %s) RETURNING 1",
        many,
    )
    prune = Prune(world.store, FileSpace(FilesSection()), load(None, {}))
    assert prune.small()
    assert not prune.small()
    assert world.value("SELECT count(*) FROM idempotency_keys") == 0
    for table, columns in (
        ("rates", "SELECT i::text, now() - interval '2 h', now() - interval '2 h'"),
        (
            "counters (process_id, role, node_name, updated_at)",
            "SELECT gen_random_uuid(), 'worker', 'n', now() - interval '2 h'",
        ),
    ):
        world.rows(f"INSERT INTO {table} {columns} FROM generate_series(1, %s) i RETURNING 1", many)
        assert [prune.small(), prune.small()] == [True, False]


def test_sums_of_counters_never_fall_when_processes_end(world: World) -> None:
    gone, other, alive = uuid7(), uuid7(), uuid7()
    totals = ProcessTotals(1, 2, 3, 4, 5, 6, 7, 8, 9)
    totals.tally.add("attempts|echo|completed", 7)
    totals.tally.set("=streams", 2)
    totals.tally.observe("run", "echo", [0.002, 0.7])
    sums = "SELECT " + ", ".join(f"sum({name})::int" for name in COUNTED) + " FROM counters"
    for process in (gone, other, alive):
        world.store.workers.count(process, "worker", "node", totals)
    for process in (gone, other):
        # the row with the folded counters grows old as well
        world.rows(
            "UPDATE counters SET updated_at = now() - interval '2 h' WHERE process_id = %s OR role = 'folded' "
            "RETURNING 1",
            process,
        )
        world.store.housekeeping.prune_small(24.0, 100)
    assert world.rows(sums) == [(3, 6, 9, 12, 15, 18, 21, 24, 27)]
    assert sorted(world.rows("SELECT role, submitted FROM counters")) == [("folded", 2), ("worker", 1)]
    labelled = {name: value for name, _, value in Measures(world.store.database, 10, 60, 600).read().labelled}
    assert labelled["attempts|echo|completed"] == 21
    assert labelled["run|echo|0.0025"] == labelled["run|echo|1"] == 3
    assert labelled["=streams"] == 2, "the streams of processes that are gone do not count"


def test_a_process_that_was_silent_for_an_hour_counts_once_when_it_comes_back(world: World) -> None:
    silent, other = uuid7(), uuid7()
    totals = ProcessTotals(1, 2, 3, 4, 5, 6, 7, 8, 9)
    totals.tally.add("attempts|echo|completed", 7)
    sums = "SELECT " + ", ".join(f"sum({name})::int" for name in COUNTED) + " FROM counters"
    measures = Measures(world.store.database, 10, 60, 600)

    def completed() -> float:
        return {name: value for name, _, value in measures.read().labelled}["attempts|echo|completed"]

    for process in (silent, other):
        world.store.workers.count(process, "worker", "node", totals)
    for _ in range(2):
        world.execute("UPDATE counters SET updated_at = now() - interval '2 h' WHERE role = 'worker'")
        world.store.housekeeping.prune_small(24.0, 100)
        assert world.rows("SELECT role FROM counters") == [("folded",)]
        assert completed() == 7 + totals.tally.values()["attempts|echo|completed"]
        totals.submitted += 10
        totals.tally.add("attempts|echo|completed", 10)
        world.store.workers.count(silent, "worker", "node", totals)
        assert completed() == 7 + totals.tally.values()["attempts|echo|completed"]
    assert world.rows(sums) == [(22, 4, 6, 8, 10, 12, 14, 16, 18)]
    kept = "SELECT process_id::text FROM folded_counters WHERE process_id = ANY (%s::uuid[])"
    assert world.rows(kept, [silent, other]) == [(other,)]


def test_the_totals_of_a_process_that_has_ended_are_folded_at_once(world: World) -> None:
    for ends in (True, False):
        world.store.workers.count(uuid7(), "worker", "node", ProcessTotals(1), ends)
    world.store.housekeeping.prune_small(24.0, 100)
    assert sorted(world.rows("SELECT role, submitted FROM counters")) == [("folded", 1), ("worker", 1)]


def test_a_counter_holds_the_last_totals_of_its_process(world: World) -> None:
    process = uuid7()
    world.store.workers.count(process, "api", "node", ProcessTotals(1, 1, 1, 1, 1, 1, 1, 1, 1))
    world.store.workers.count(process, "api", "node", ProcessTotals(1, 2, 3, 4, 5, 6, 7, 8, 9))
    query = (
        "SELECT submitted, claimed, completed, failed, cancelled, retried, given_back, published, reclaimed FROM "
        "counters"
    )
    assert world.rows(query) == [(1, 2, 3, 4, 5, 6, 7, 8, 9)]


def test_files_are_removed_after_their_retention(world: World) -> None:
    old, new = OutputFile(uuid7(), "x", "text/plain", 1, "ab"), OutputFile(uuid7(), "y", "text/plain", 1, "ab")
    world.store.files.insert(old, None)
    age(world, "files", "kept_from", 8)
    world.store.files.insert(new, None)
    world.store.files.insert(new, None)
    assert world.store.housekeeping.expire_files(7, 10) == [old.file_id]
    assert world.store.files.existing([old.file_id, new.file_id]) == {new.file_id}


# --- days of logs


@pytest.fixture
def old_day(fresh_world: World) -> World:
    """Return a database with an expired day of logs that has a row."""
    world = fresh_world
    world.rows("SELECT make_logs_partition(%s)", OLD_DAY)
    (task,) = world.submit()
    world.rows(
        "INSERT INTO logs (task_id, at, event, level) VALUES (%s, %s, 'log', 'info') RETURNING 1",
        task,
        datetime.combine(OLD_DAY, datetime.min.time(), UTC),
    )
    return world


def partitions(world: World) -> list[str]:
    return [row[0] for row in world.rows("SELECT relname FROM pg_class WHERE relname ~ '^logs_[0-9]{8}$' ORDER BY 1")]


def test_days_of_logs_past_their_time_are_dropped(old_day: World) -> None:
    kept = partitions(old_day)[1:]
    assert old_day.store.housekeeping.drop_partitions(30) == ExpiredDays([OLD_PARTITION], None)
    assert partitions(old_day) == kept
    assert old_day.store.housekeeping.drop_partitions(30) == ExpiredDays([], None)


def test_a_day_in_use_stays_for_a_later_turn_and_no_statement_waits_behind_it(old_day: World) -> None:
    # Detaching cannot have a time limit of its own: no transaction may hold it,
    # and a session's setting would leak through PgBouncer.
    old_day.execute(
        "DO $$ BEGIN EXECUTE format('ALTER ROLE %I IN DATABASE %I SET statement_timeout = 1000', current_user, "
        "current_database()); END $$"
    )
    with psycopg.connect(old_day.section.dsn.get_secret_value()) as backup:
        backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        backup.execute("SELECT count(*) FROM logs")
        drop = old_day.meet(lambda store: store.housekeeping.drop_partitions(30)).waits()
        old_day.run(old_day.submit())
        assert drop.result() == ExpiredDays([], OLD_PARTITION)
        again = old_day.meet(lambda store: store.housekeeping.drop_partitions(30))
        assert again.result() == ExpiredDays([], OLD_PARTITION)
        old_day.run(old_day.submit())
    assert old_day.store.housekeeping.drop_partitions(30) == ExpiredDays([OLD_PARTITION], None)
    assert OLD_PARTITION not in partitions(old_day)
    old_day.check()


def test_a_day_that_was_detached_and_not_dropped_is_dropped_in_the_next_turn(old_day: World) -> None:
    old_day.execute(f"ALTER TABLE logs DETACH PARTITION {OLD_PARTITION} CONCURRENTLY")
    assert old_day.store.housekeeping.drop_partitions(30) == ExpiredDays([OLD_PARTITION], None)
    assert OLD_PARTITION not in partitions(old_day)


def test_a_keeper_leaves_a_detached_day_in_use_for_its_next_turn(
    old_day: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dtqs")
    old_day.execute(f"ALTER TABLE logs DETACH PARTITION {OLD_PARTITION} CONCURRENTLY")
    with psycopg.connect(old_day.section.dsn.get_secret_value()) as reader:
        reader.execute(f"SELECT count(*) FROM {OLD_PARTITION}".encode())
        more = Prune(old_day.store, FileSpace(FilesSection()), load(None, {})).logs()
    assert not more
    assert [record.message for record in caplog.records] == [
        "a day of logs stays until the next turn: another session uses it"
    ]
    assert old_day.store.housekeeping.drop_partitions(30) == ExpiredDays([OLD_PARTITION], None)


def test_an_outage_during_a_drop_is_no_day_in_use(old_day: World) -> None:
    with psycopg.connect(old_day.section.dsn.get_secret_value()) as backup:
        backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        backup.execute("SELECT count(*) FROM logs")
        drop = old_day.meet(lambda store: store.housekeeping.drop_partitions(30)).waits()
        old_day.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(query, 'ALTER TABLE logs') "
            "AND datname = current_database()"
        )
        with pytest.raises(StoreUnavailable, match="terminating connection"):
            drop.result()


def test_two_keepers_that_drop_the_same_day_recover(old_day: World) -> None:
    drops = [old_day.meet(lambda store: store.housekeeping.drop_partitions(30)) for _ in range(2)]
    for drop in drops:
        try:
            drop.result()
        except StoreUnavailable:
            continue
    old_day.store.housekeeping.drop_partitions(30)
    assert OLD_PARTITION not in partitions(old_day)


def test_days_of_logs_are_made_a_week_ahead(fresh_world: World) -> None:
    today = datetime.now(UTC).date()
    fresh_world.execute(*(f"DROP TABLE {name}" for name in partitions(fresh_world)))
    fresh_world.store.housekeeping.make_partitions()
    fresh_world.store.housekeeping.make_partitions()
    assert partitions(fresh_world)[-8:] == [f"logs_{today + timedelta(days=d):%Y%m%d}" for d in range(8)]


def test_no_vacuum_frees_the_ends_of_a_days_pages(fresh_world: World) -> None:
    options = fresh_world.rows(
        "SELECT DISTINCT c.reloptions FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = "
        "'logs'::regclass"
    )
    assert options == [(["autovacuum_vacuum_insert_threshold=-1"],)]


def test_the_index_knows_the_times_of_new_log_rows(fresh_world: World) -> None:
    (task,) = fresh_world.submit()
    fresh_world.execute(
        f"INSERT INTO logs (task_id, event, level, message) SELECT '{task}', 'log', 'info', repeat('x', 1000) FROM "
        "generate_series(1, 2000)"
    )
    fresh_world.store.housekeeping.summarize_logs()
    assert fresh_world.value(f"SELECT brin_summarize_new_values('logs_{datetime.now(UTC):%Y%m%d}_at_idx')") == 0


def test_the_index_ends_no_analyze_of_a_day(fresh_world: World) -> None:
    with psycopg.connect(fresh_world.section.dsn.get_secret_value()) as connection:
        connection.execute(f"ANALYZE logs_{datetime.now(UTC):%Y%m%d}")
        fresh_world.meet(lambda store: store.housekeeping.summarize_logs()).result()


def test_a_finish_without_a_partition_for_its_day_creates_it(fresh_world: World) -> None:
    (task,) = fresh_world.submit()
    lease = fresh_world.claim(fresh_world.worker(), [task])
    fresh_world.execute(*(f"DROP TABLE {name}" for name in partitions(fresh_world)))
    assert len(fresh_world.store.leases.give_back(lease)) == 1
    assert fresh_world.events(task) == ["pending"]
    fresh_world.check()
