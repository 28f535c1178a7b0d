"""The schema: applied again, by two at once, and on a database with other defaults; and its version."""

import os
import socket
import threading

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from pydantic import SecretStr

from dtqs.cli import main
from dtqs.cli.schema_check import schema_doubt
from dtqs.config import PostgresqlSection
from dtqs.errors import ConfigError, StoreUnavailable
from dtqs.store.driver.schema import SCHEMA_VERSION, migrate
from tests.support.fix_store import World
from tests.support.helpers import free_port


def test_the_schema_may_be_applied_again_beside_work(fresh_world: World) -> None:
    (task,) = fresh_world.submit()
    lease = fresh_world.claim(fresh_world.worker(), [task])
    assert migrate(fresh_world.section) == SCHEMA_VERSION
    assert len(fresh_world.store.leases.give_back(lease)) == 1
    assert fresh_world.value("SELECT value::int FROM settings WHERE name = 'schema_version'") == SCHEMA_VERSION
    fresh_world.check()


def put_version(world: World, name: str, version: int) -> None:
    world.execute("ALTER TABLE settings DISABLE TRIGGER ALL")
    upsert = (
        "INSERT INTO settings (name, value) VALUES (%s, to_jsonb(%s)) ON CONFLICT (name) DO UPDATE SET value = "
        "excluded.value RETURNING 1"
    )
    world.rows(upsert, name, version)
    world.execute("ALTER TABLE settings ENABLE TRIGGER ALL")


def test_an_older_migrate_is_refused_and_changes_nothing(fresh_world: World) -> None:
    put_version(fresh_world, "schema_version", SCHEMA_VERSION + 1)
    with pytest.raises(
        ConfigError, match=f"has version {SCHEMA_VERSION + 1}, .* knows {SCHEMA_VERSION}: nothing was changed"
    ):
        migrate(fresh_world.section)
    # One from before this check is stopped by the database itself.
    with pytest.raises(psycopg.errors.RaiseException, match="would set it back"):
        fresh_world.execute("UPDATE settings SET value = '1' WHERE name = 'schema_version'")
    assert fresh_world.value("SELECT value::int FROM settings WHERE name = 'schema_version'") == SCHEMA_VERSION + 1


def test_schema_and_code_that_do_not_fit_are_distinguished(fresh_world: World) -> None:
    database = fresh_world.store.database
    assert database.schema_refusal() is None
    put_version(fresh_world, "schema_version", SCHEMA_VERSION + 1)
    assert database.schema_refusal() is None, "a newer compatible schema is accepted"
    put_version(fresh_world, "schema_compatible", SCHEMA_VERSION + 1)
    assert "update DTQS on this host" in (database.schema_refusal() or "")
    put_version(fresh_world, "schema_version", SCHEMA_VERSION - 1)
    assert "run `dtqs migrate`" in (database.schema_refusal() or "")


def test_two_may_apply_the_schema_at_once(fresh_world: World) -> None:
    versions: list[int] = []
    threads = [threading.Thread(target=lambda: versions.append(migrate(fresh_world.section))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert versions == [SCHEMA_VERSION] * 2


def test_a_server_with_another_isolation_by_default_does_not_take_the_new_snapshot_away(fresh_world: World) -> None:
    # in REPEATABLE READ the second statement of a reclaim would not see a claim that the first has waited for
    ((database,),) = fresh_world.rows("SELECT current_database()")
    command = sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'").format(
        sql.Identifier(database)
    )
    with psycopg.connect(fresh_world.section.dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute(command)
    with psycopg.connect(fresh_world.section.dsn.get_secret_value()) as connection:
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("read committed",)


def test_an_unreachable_database_is_reported_in_words() -> None:
    section = PostgresqlSection(
        dsn=SecretStr(f"postgresql://dtqs@127.0.0.1:{free_port()}/dtqs"), connect_timeout_seconds=0.5
    )
    with pytest.raises(StoreUnavailable):
        migrate(section)


@pytest.mark.parametrize("table", ["tasks", "backlog", "leases", "workers"])
def test_no_foreign_key_locks_the_rows_of_the_protocol(world: World, table: str) -> None:
    assert (
        world.rows(
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND (conrelid = %s::regclass OR confrelid = "
            "%s::regclass)",
            table,
            table,
        )
        == []
    )


def test_a_reload_is_refused_by_a_schema_that_does_not_fit_and_not_by_a_server_that_is_away(
    fresh_world: World,
) -> None:
    assert schema_doubt(fresh_world.section) is None
    with socket.create_server(("127.0.0.1", 0)) as mute:
        dsn = SecretStr(f"postgresql://dtqs@127.0.0.1:{mute.getsockname()[1]}/dtqs")
        silent = PostgresqlSection.model_validate({"dsn": dsn, "connect_timeout_seconds": 60})
        doubt = schema_doubt(silent, seconds=0.2)
    assert doubt == "the version of the database's schema was not checked: PostgreSQL did not answer within 0.2 s"
    away = fresh_world.section.model_copy(update={"dsn": SecretStr(f"postgresql://dtqs@127.0.0.1:{free_port()}/dtqs")})
    assert "Connection refused" in str(schema_doubt(away))
    put_version(fresh_world, "schema_version", SCHEMA_VERSION + 2)
    put_version(fresh_world, "schema_compatible", SCHEMA_VERSION + 1)
    variables = {"DTQS_POSTGRESQL_DSN": fresh_world.section.dsn.get_secret_value(), "DTQS_CONFIG": None}
    checked = CliRunner(env=variables).invoke(main, ["config", "check", "--schema"])
    assert checked.exit_code == os.EX_CONFIG
    assert f"the schema of the database has version {SCHEMA_VERSION + 2}" in checked.output
