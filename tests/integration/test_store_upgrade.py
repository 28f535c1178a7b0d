"""From an old schema to the one of today: with its data, its grants, not under old processes' feet, and without a wait where nothing is to be done."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from dtqs.config import PostgresqlSection
from dtqs.errors import ConfigError, StoreUnavailable
from dtqs.store.driver import schema
from dtqs.store.driver.schema import SCHEMA_VERSION, migrate
from dtqs.uuid7 import uuid7
from tests.support.fix_store import NODE, TABLES, World

OLD = (Path(__file__).parents[1] / "data" / "schema_1.sql").read_bytes()
Connection = psycopg.Connection[tuple[Any, ...]]
COLUMNS = "SELECT table_name, column_name, udt_name, is_nullable, column_default FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
CONSTRAINTS = "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
VIEWS = "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'"
ROUTINES = "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
TRIGGERS = "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2"


@pytest.fixture
def old(dsn: str) -> Iterator[Connection]:
    """A database with the schema of version 1."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP OWNED BY current_user")
        connection.execute(OLD)
        connection.execute("INSERT INTO settings (name, value) VALUES ('schema_version', '1')")
        yield connection


def section_of(dsn: str) -> PostgresqlSection:
    return PostgresqlSection(dsn=SecretStr(dsn), connect_timeout_seconds=5)


def stored(connection: Connection, outcome: str | None = None) -> str:
    """Store a task as version 1 did: with an outcome, or in the backlog."""
    task = uuid7()
    connection.execute(
        "INSERT INTO tasks (id, task_type, light, payload, outcome, result) VALUES (%s, 'echo', true, '{\"a\": 1.5}', %s, '{\"b\": [2]}')",
        [task, outcome],
    )
    if outcome is None:
        connection.execute(
            "INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at) VALUES (%s, 'echo', true, 5, now(), now())",
            [task],
        )
    connection.execute(
        "INSERT INTO logs (task_id, event, level, data) VALUES (%s, coalesce(%s, 'pending'), 'info', '{\"c\": true}')",
        [task, outcome],
    )
    return task


def test_a_database_of_version_1_becomes_one_of_today_with_all_that_is_in_it(
    old: Connection, dsn: str, new_dsn: Callable[[], str]
) -> None:
    done, waiting = stored(old, "completed"), stored(old)
    assert migrate(section_of(dsn)) == SCHEMA_VERSION
    with psycopg.connect(new_dsn()) as fresh:
        for query in (COLUMNS, INDEXES, CONSTRAINTS, VIEWS, ROUTINES, TRIGGERS):
            assert old.execute(query).fetchall() == fresh.execute(query).fetchall()
    row = (
        "SELECT status, payload, result, (SELECT data FROM logs WHERE task_id = s.id) FROM task_status s WHERE id = %s"
    )
    assert old.execute(row, [done]).fetchone() == ("completed", {"a": 1.5}, {"b": [2]}, {"c": True})
    assert old.execute(row, [waiting]).fetchone() == ("pending", {"a": 1.5}, {"b": [2]}, {"c": True})


def count(connection: Connection, role: str, seconds_ago: float) -> None:
    query = "INSERT INTO counters (process_id, role, node_name, updated_at) VALUES (%s, %s, 'web', now() - %s * interval '1 s')"
    connection.execute(query, [uuid7(), role, seconds_ago])


def beat(connection: Connection, seconds_ago: float, dead: bool) -> None:
    query = (
        "INSERT INTO workers (id, node_id, boot_id, node_name, pool, slot, pid, state, heartbeat_at, dead_at)"
        " VALUES (%s, %s, %s, 'node-a', 'default', 0, 1, 'ready', now() - %s * interval '1 s', CASE WHEN %s THEN now() END)"
    )
    connection.execute(query, [uuid7(), NODE, uuid7(), seconds_ago, dead])


@pytest.mark.parametrize("version", [1, 2])
def test_no_migration_takes_the_ground_from_old_processes_that_do_not_ask(
    old: Connection, dsn: str, version: int
) -> None:
    old.execute("UPDATE settings SET value = to_jsonb(%s::int)", [version])
    for _ in range(2):
        beat(old, 5, dead=False)
    count(old, "api", 5)
    count(old, "keeper", 60)
    said = (
        r"nothing was changed; stop all supervisors and APIs, .*: node-a \(2 worker\), web \(1 api\), web \(1 keeper\)"
    )
    with pytest.raises(ConfigError, match=said):
        migrate(section_of(dsn))
    assert old.execute("SELECT value::int FROM settings WHERE name = 'schema_version'").fetchone() == (version,)
    assert old.execute("SELECT pg_typeof(payload) FROM tasks RIGHT JOIN (SELECT 1) x ON true").fetchone() == ("jsonb",)


def test_old_processes_that_are_gone_hold_up_no_migration(old: Connection, dsn: str) -> None:
    beat(old, 5, dead=True)
    beat(old, 600, dead=False)
    for role, seconds in (("api", 600), ("keeper", 600), ("folded", 0), ("worker", 0)):
        count(old, role, seconds)
    assert migrate(section_of(dsn)) == SCHEMA_VERSION


def test_processes_of_versions_that_fit_run_on_beside_a_migration(fresh_world: World) -> None:
    fresh_world.worker()
    assert migrate(fresh_world.section) == SCHEMA_VERSION


def test_what_others_were_granted_on_the_view_is_theirs_still(old: Connection, dsn: str) -> None:
    old.execute("GRANT SELECT ON task_status TO PUBLIC")
    old.execute("GRANT SELECT (id, status), UPDATE ON task_status TO pg_monitor WITH GRANT OPTION")
    acl = (
        "SELECT relacl::text, (SELECT array_agg(attname || attacl::text ORDER BY attname) FROM pg_attribute WHERE attrelid = c.oid)"
        " FROM pg_class c WHERE relname = 'task_status'"
    )
    before = old.execute(acl).fetchone()
    migrate(section_of(dsn))
    assert old.execute(acl).fetchone() == before


@pytest.mark.parametrize("mode", ["ACCESS SHARE", "ROW EXCLUSIVE"])
def test_a_migration_with_nothing_to_do_waits_for_nobody(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(schema, "_ATTEMPTS", 1)
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 0.5)
    with psycopg.connect(fresh_world.section.dsn.get_secret_value()) as other:
        other.execute(f"LOCK TABLE {', '.join(TABLES)}, settings, schedules, ended_sessions IN {mode} MODE".encode())
        other.execute("SELECT FROM task_status")
        assert migrate(fresh_world.section) == SCHEMA_VERSION


def test_a_migration_that_finds_a_table_held_tries_again_and_then_says_so(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_world.execute("ALTER TABLE backlog DROP COLUMN counted_for")
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 0.1)
    with psycopg.connect(fresh_world.section.dsn.get_secret_value()) as other:
        other.execute("SELECT FROM backlog")
        pauses: list[float] = []
        monkeypatch.setattr("dtqs.store.driver.schema.time.sleep", pauses.append)
        with pytest.raises(
            StoreUnavailable, match=r"also at attempt 5, and nothing was changed; .* run `dtqs migrate` again"
        ):
            migrate(fresh_world.section)
        assert len(pauses) == 4
        monkeypatch.setattr("dtqs.store.driver.schema.time.sleep", lambda seconds: other.rollback())
        assert migrate(fresh_world.section) == SCHEMA_VERSION
