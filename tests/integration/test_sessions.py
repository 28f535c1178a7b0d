"""The doctor's look at several sessions: directly, and through a pooler that leaks a SET and loses statements."""

from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from dtqs.cli.checks.sessions import sessions, standby
from dtqs.config import PostgresqlSection
from dtqs.store.driver.database import Database
from dtqs.store.driver.statements import statement
from dtqs.store.sessions import look_at_sessions, standbys
from tests.support.pooler import Pooler


def found(dsn: str, prepared: bool = True) -> dict[str, tuple[str, str]]:
    section = PostgresqlSection.model_validate({"dsn": dsn, "prepared_statements": prepared})
    return {check.part: (check.state, check.found) for check in sessions(look_at_sessions(section, "dtqs doctor"))}


def test_sessions_of_their_own_have_the_settings_of_the_role(dsn: str) -> None:
    assert found(dsn) == {
        "sessions": ("ok", "4 connections, all with the role's settings"),
        "pooler": ("ok", "none: 4 connections, each with a session of its own"),
    }
    database = Database(PostgresqlSection.model_validate({"dsn": dsn}), 1, "test")
    database.start()
    try:
        assert standby(*standbys(database.run_once)).found == "none"
    finally:
        database.stop()
    with psycopg.connect(dsn, autocommit=True) as connection:
        database_name = sql.Identifier(dsn.rpartition("/")[2])
        connection.execute(
            sql.SQL("ALTER ROLE current_user IN DATABASE {} SET statement_timeout = '7s'").format(database_name)
        )
    assert found(dsn)["sessions"] == ("warning", "statement_timeout = 7s instead of 10000ms")


def test_a_pooler_that_leaks_a_set_and_loses_prepared_statements_is_named(dsn: str) -> None:
    to = urlsplit(dsn)
    with Pooler(str(to.hostname), to.port or 0) as pooler:
        pooled = dsn.replace(f":{to.port}/", f":{pooler.port}/") + "?sslmode=disable&gssencmode=disable"
        with psycopg.connect(pooled, autocommit=True) as other:
            other.execute("SET statement_timeout = '1h'")
        checks = found(pooled)
        assert checks["sessions"] == ("warning", "statement_timeout differs between 4 sessions: 10s in 3, 1h in 1")
        assert checks["pooler"][0] == "warning"
        assert "loses prepared statements" in checks["pooler"][1]
        held = [psycopg.connect(pooled) for _ in range(4)]
        assert [each.execute(statement("doctors_prepared")).fetchall() for each in held] == [[]] * 4
        for each in held:
            each.rollback()
        for each in held:
            each.close()
        assert found(pooled, prepared=False)["pooler"] == (
            "ok",
            "a pooler shares the sessions; prepared_statements = off",
        )
