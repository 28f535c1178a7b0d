"""dtqs migrate beside old processes, held tables, a second migrate, PgBouncer, and with a failing migration."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from dtqs.errors import ConfigError, StoreUnavailable
from dtqs.settlement import Kind
from dtqs.store.driver import schema
from dtqs.store.driver.migrations import Migration, pending
from dtqs.store.driver.schema import SCHEMA_VERSION, migrate
from dtqs.uuid7 import uuid7
from tests.integration.old_schemas import Connection, become, contents, section_of
from tests.support.fix_store import NODE, TABLES, World
from tests.support.helpers import eventually

BROKEN = b"ALTER TABLE workers ADD COLUMN half_done int; SELECT 1 / 0"


@pytest.fixture
def old(dsn: str) -> Iterator[Connection]:
    """Yield a database for an earlier version."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def version_of(connection: Connection) -> int:
    row = connection.execute("SELECT value::int FROM settings WHERE name = 'schema_version'").fetchone()
    return row[0] if row else 0


def count(connection: Connection, role: str, seconds_ago: float) -> None:
    columns = "process_id, role, node_name, updated_at"
    query = f"INSERT INTO counters ({columns}) VALUES (%s, %s, 'web', now() - %s * interval '1 s')"
    connection.execute(query.encode(), [uuid7(), role, seconds_ago])


def beat(connection: Connection, seconds_ago: float, dead: bool) -> None:
    query = (
        "INSERT INTO workers (id, node_id, boot_id, node_name, pool, slot, pid, state, heartbeat_at, dead_at)"
        " VALUES (%s, %s, %s, 'node-a', 'default', 0, 1, 'ready', now() - %s * interval '1 s',"
        " CASE WHEN %s THEN now() END)"
    )
    connection.execute(query, [uuid7(), NODE, uuid7(), seconds_ago, dead])


@pytest.mark.parametrize("version", [1, 2])
def test_no_migration_runs_beside_old_processes_that_it_would_break(old: Connection, dsn: str, version: int) -> None:
    become(old, f"version_{version}")
    for _ in range(2):
        beat(old, 5, dead=False)
    count(old, "api", 5)
    count(old, "keeper", 60)
    seen = r"node-a \(2 worker\), web \(1 api\), web \(1 keeper\)"
    said = rf"break on 003_json\.sql: .*; stop all supervisors and APIs, .*: {seen}"
    before = contents(old)
    with pytest.raises(ConfigError, match=said):
        migrate(section_of(dsn))
    assert version_of(old) == version
    assert contents(old) == before


def test_old_processes_that_have_ended_delay_no_migration(old: Connection, dsn: str) -> None:
    become(old, "version_1")
    beat(old, 5, dead=True)
    beat(old, 600, dead=False)
    for role, seconds in (("api", 600), ("keeper", 600), ("folded", 0), ("worker", 0)):
        count(old, role, seconds)
    assert migrate(section_of(dsn)) == SCHEMA_VERSION


def test_compatible_processes_continue_during_a_migration(old: Connection, dsn: str) -> None:
    become(old, "version_3")
    beat(old, 5, dead=False)
    told: list[str] = []
    assert migrate(section_of(dsn), told.append) == SCHEMA_VERSION
    assert told == [f"{each.file_name} is applied: the schema has version {each.version}" for each in pending(3)]


def test_two_migrations_may_run_at_once(old: Connection, dsn: str) -> None:
    become(old, "version_3")
    told: list[str] = []
    threads = [threading.Thread(target=migrate, args=[section_of(dsn), told.append]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert version_of(old) == SCHEMA_VERSION
    assert len(told) == SCHEMA_VERSION - 3, "each version is applied once"


def test_work_continues_while_the_schema_grows(fresh_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Prepared statements fail if the type of their rows changes. This store hides no deadlock.
    tables = ("workers", "leases", "tasks", "backlog", "logs", "failures")
    grown = [
        Migration(version, table, "It grows.", 3, (table,), f"ALTER TABLE {table} ADD later int DEFAULT 7".encode())
        for version, table in enumerate(tables, SCHEMA_VERSION + 1)
    ]
    monkeypatch.setattr(schema, "SCHEMA_VERSION", grown[-1].version)
    monkeypatch.setattr(schema, "pending", lambda version: [each for each in grown if each.version > version])
    done: list[str] = []
    enough = threading.Event()

    def work() -> None:
        while not enough.is_set():
            tasks = fresh_world.submit(2)
            fresh_world.run(tasks[:1])
            fresh_world.run(tasks[1:], Kind.FAILED)
            done.extend(fresh_world.store.reads.task(task).status for task in tasks)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    eventually(lambda: len(done) >= 20, what="ten turns before")
    assert migrate(fresh_world.section) == grown[-1].version
    before = len(done)
    eventually(lambda: len(done) >= before + 20, what="ten turns after")
    enough.set()
    thread.join(10)
    assert set(zip(done[::2], done[1::2], strict=True)) == {("completed", "failed")}
    fresh_world.check()


def test_a_migration_gives_way_to_a_transaction_that_waits_for_its_first_table(
    old: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(old, "version_3")
    monkeypatch.setattr(schema, "_PAUSE_SECONDS", 0.1)
    met: list[psycopg.Error] = []

    def held_up(_: object, error: psycopg.Error) -> str:
        met.append(error)
        return ""

    monkeypatch.setattr(schema._Upgrade, "held_up", held_up)
    waits = "SELECT FROM pg_stat_activity WHERE application_name = 'dtqs migrate' AND wait_event_type = 'Lock'"
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM api_keys")
        thread = threading.Thread(target=migrate, args=[section_of(dsn)])
        thread.start()
        eventually(lambda: old.execute(waits).rowcount == 1, what="the migration holds backlog and waits for api_keys")
        other.execute("SELECT FROM backlog")
    thread.join(30)
    assert {type(error) for error in met} == {psycopg.errors.LockNotAvailable}, "no deadlock"
    assert version_of(old) == SCHEMA_VERSION


@pytest.mark.parametrize("mode", ["ACCESS SHARE", "ROW EXCLUSIVE"])
def test_a_migration_without_changes_waits_for_no_lock(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(schema, "_ATTEMPTS", 1)
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 0.5)
    with psycopg.connect(fresh_world.section.dsn.get_secret_value()) as other:
        other.execute(f"LOCK TABLE {', '.join(TABLES)}, settings, schedules, ended_sessions IN {mode} MODE".encode())
        other.execute("SELECT FROM task_status")
        assert migrate(fresh_world.section) == SCHEMA_VERSION


def test_a_held_table_is_retried_and_named_with_its_holder(
    old: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(old, "version_3")
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 0.1)
    with psycopg.connect(dsn, application_name="the dump") as other:
        other.execute("SELECT FROM api_keys")
        pauses: list[float] = []
        monkeypatch.setattr("dtqs.store.driver.schema.time.sleep", pauses.append)
        said = (
            rf"table api_keys is in use by process {other.info.backend_pid} \(the dump, role dtqs, for \d+ s\),"
            r" also at attempt 5: 004_ended_sessions\.sql is not applied and the database stays at version 3\."
            r" .* run `dtqs migrate` again"
        )
        with pytest.raises(StoreUnavailable, match=said):
            migrate(section_of(dsn))
        assert len(pauses) == 4
        assert version_of(old) == 3
        monkeypatch.setattr("dtqs.store.driver.schema.time.sleep", lambda seconds: other.rollback())
        assert migrate(section_of(dsn)) == SCHEMA_VERSION


def test_a_held_day_of_logs_is_found_below_its_table(
    old: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(old, "version_2")
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 0.1)
    monkeypatch.setattr(schema, "_ATTEMPTS", 1)
    days = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'logs'::regclass LIMIT 1"
    day = old.execute(days).fetchone()
    assert day
    with psycopg.connect(dsn, application_name="the dump") as other:
        other.execute(f"SELECT FROM {day[0]}".encode())
        with pytest.raises(StoreUnavailable, match=r"table logs is in use by process \d+ \(the dump"):
            migrate(section_of(dsn))


def test_a_long_migration_is_named_to_a_second_one(fresh_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_TURN_SECONDS", 0.1)
    monkeypatch.setattr(schema, "_PAUSE_SECONDS", 0.0)
    with psycopg.connect(fresh_world.section.dsn.get_secret_value()) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtext('dtqs'), hashtext('migrate'))")
        with pytest.raises(StoreUnavailable, match=r"another `dtqs migrate` is at work .*, also at attempt 5"):
            migrate(fresh_world.section)


def test_a_migration_that_fails_leaves_the_version_before(
    old: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(old, f"version_{SCHEMA_VERSION - 1}")
    broken = Migration(SCHEMA_VERSION + 1, "broken.sql", "It fails.", 3, ("workers",), BROKEN)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setattr(schema, "pending", lambda version: [*pending(version), broken])
    said = f"division by zero.*; broken.sql is not applied and the database stays at version {SCHEMA_VERSION}$"
    with pytest.raises(StoreUnavailable, match=said):
        migrate(section_of(dsn))
    assert version_of(old) == SCHEMA_VERSION
    assert old.execute("SELECT FROM pg_attribute WHERE attname = 'half_done'").rowcount == 0


def test_an_installation_without_a_migration_reports_it(fresh_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(ConfigError, match=rf"no migration to version {SCHEMA_VERSION + 1}: .*; install DTQS again"):
        migrate(fresh_world.section)


def test_a_foreign_database_is_left_unchanged(old: Connection, dsn: str) -> None:
    become(old, None)
    old.execute("CREATE TABLE leases (theirs int)")
    said = r"not empty \(relation \"leases\" already exists\): nothing was changed; give DTQS"
    with pytest.raises(ConfigError, match=said):
        migrate(section_of(dsn))
    assert contents(old) == {"leases": []}


class Pooled(psycopg.Connection[tuple[Any, ...]]):
    """A session that survives its client, as behind PgBouncer."""

    def close(self) -> None:
        self.rollback()


def test_the_next_client_of_a_pooled_session_finds_no_trace_of_a_migration(
    old: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(old, "version_1")
    pooled = Pooled.connect(dsn, autocommit=True)

    def connect(dsn: str, *, autocommit: bool, prepare_threshold: int | None, **_: object) -> Pooled:
        pooled.autocommit, pooled.prepare_threshold = autocommit, prepare_threshold
        return pooled

    left = (
        "SELECT array(SELECT name || ' ' || setting FROM pg_settings WHERE source = 'session'),"
        " (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),"
        " current_setting('lock_timeout'), current_setting('statement_timeout')"
    )
    before = pooled.execute(left).fetchone()
    monkeypatch.setattr("dtqs.store.driver.schema.psycopg.connect", connect)
    try:
        assert migrate(section_of(dsn)) == SCHEMA_VERSION
        assert pooled.execute(left).fetchone() == before
    finally:
        super(Pooled, pooled).close()
