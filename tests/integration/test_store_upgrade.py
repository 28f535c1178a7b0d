"""Each earlier schema becomes today's: the same catalog as a fresh database, with all data and grants."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from dtqs.config import LeaseSection
from dtqs.store import Store
from dtqs.store.driver.migrations import migrations
from dtqs.store.driver.schema import SCHEMA_VERSION, migrate, plan
from dtqs.store.workers import WorkerIdentity
from dtqs.uuid7 import uuid7
from tests.integration.old_schemas import NAMES, OURS, Connection, become, catalog, contents, fill, section_of
from tests.support.fix_store import NODE


@pytest.fixture
def old(dsn: str) -> Iterator[Connection]:
    """Yield a database for an earlier version."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("name", NAMES)
def test_a_database_of_any_version_is_upgraded_with_all_its_data(
    old: Connection, dsn: str, new_dsn: Callable[[], str], name: str
) -> None:
    become(old, name)
    tasks, before = fill(old), contents(old)
    assert all(before[table] for table in before.keys() - {"rates", "ended_sessions", "folded_counters"})
    assert migrate(section_of(dsn)) == SCHEMA_VERSION
    with psycopg.connect(new_dsn()) as fresh:
        assert catalog(old) == catalog(fresh)
    after = contents(old)
    for table, rows in before.items():
        kept = [{column: row[column] for column in rows[0]} for row in after[table]] if rows else after[table]
        assert kept == rows, table
    store = Store(section_of(dsn), LeaseSection(), size=1, name="after")
    store.start()
    try:
        assert {status: store.reads.task(task).status for status, task in tasks.items()} == {key: key for key in tasks}
        worker = uuid7()
        store.workers.register(WorkerIdentity(worker, NODE, uuid7(), "node", "default", 0, 1))
        claimed, _ = store.leases.claim(worker, uuid7(), [tasks["pending"]])
        assert [(task.task_id, task.payload) for task in claimed] == [(tasks["pending"], '{"a": 1.5}')]
    finally:
        store.stop()


@pytest.mark.parametrize("name", ["version_1", "version_5"])
def test_grants_on_the_view_stay(old: Connection, dsn: str, name: str) -> None:
    become(old, name)
    old.execute("GRANT SELECT ON task_status TO PUBLIC")
    old.execute("GRANT SELECT (id, status), UPDATE ON task_status TO pg_monitor WITH GRANT OPTION")
    acl = (
        "SELECT relacl::text,"
        " array(SELECT attname || attacl::text FROM pg_attribute"
        " WHERE attrelid = c.oid AND attacl IS NOT NULL ORDER BY attname)"
        " FROM pg_class c WHERE relname = 'task_status'"
    )
    before = old.execute(acl).fetchone()
    migrate(section_of(dsn))
    assert old.execute(acl).fetchone() == before


def test_a_migration_names_the_tables_that_it_locks(old: Connection) -> None:
    names = f"SELECT oid FROM pg_class WHERE {OURS} AND relkind IN ('r', 'p') AND NOT relispartition"
    held = (
        "SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND relation = ANY (%s)"
        " AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
    )
    found: dict[str, set[str]] = {migration.file_name: set() for migration in migrations()}
    for name in ("version_1_first", "version_1_rates"):
        become(old, name)
        for migration in migrations():
            there = [row[0] for row in old.execute(names.encode())]
            with old.transaction():
                old.execute(migration.text)
                found[migration.file_name] |= {row[0] for row in old.execute(held, [there])}
    assert found == {migration.file_name: set(migration.locks) for migration in migrations()}


@pytest.mark.parametrize(
    ("name", "files"),
    [
        (None, [("schema.sql", True)]),
        ("version_1", [("002_", True), ("003_", False), ("004_", False), ("005_", False), ("006_", False)]),
        ("version_3", [("004_", True), ("005_", True), ("006_", True)]),
    ],
)
def test_a_plan_names_each_file_and_changes_nothing(
    old: Connection, dsn: str, name: str | None, files: list[tuple[str, bool]]
) -> None:
    version = become(old, name)
    before = contents(old)
    found, planned = plan(section_of(dsn))
    assert found == (version or None)
    begun = [(each.file_name[: len(file)], each.is_safe) for each, (file, _) in zip(planned, files, strict=False)]
    assert begun == files
    assert contents(old) == before


def test_a_plan_for_a_database_of_today_is_empty(dsn: str) -> None:
    assert plan(section_of(dsn)) == (SCHEMA_VERSION, [])
    migrate(section_of(dsn))
    assert plan(section_of(dsn)) == (SCHEMA_VERSION, [])
