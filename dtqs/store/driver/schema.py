"""Applies schema.sql, knows its version, and tells which versions of schema and code go together."""

import logging
import time

import psycopg
from psycopg import sql

from dtqs.config import PostgresqlSection
from dtqs.errors import ConfigError, StoreUnavailable
from dtqs.resources import resource
from dtqs.store.driver.statements import statement

logger = logging.getLogger(__name__)
SCHEMA_VERSION = 6
"""The version that schema.sql makes, and the oldest that this code works on."""
SCHEMA_COMPATIBLE = 3
"""The oldest version of code that may work on it: workers of before an update run on beside the new schema."""
_BREAKS_UNASKED = 2
"""Code up to this version writes jsonb where there is json since, which fails, and does not ask first whether the schema fits."""
_HEARD_SECONDS = 90.0
"""Heartbeats may be set to a minute."""
_ATTEMPTS, _LOCK_SECONDS, _PAUSE_SECONDS = 5, 3.0, 2.0
"""While it waits for a lock, claims and finishes wait behind it: so a short wait, some times."""


def refusal(version: int | None, compatible: int | None) -> str | None:
    """Say why this code must not work on a database with that schema; None where it may."""
    if version is None:
        return "the database has no version of its schema: run `dtqs migrate`"
    if version < SCHEMA_VERSION:
        return f"the schema of the database has version {version}, and this DTQS needs {SCHEMA_VERSION}: run `dtqs migrate`"
    if compatible is not None and compatible > SCHEMA_VERSION:
        known = f"this one knows {SCHEMA_VERSION}"
        return f"the schema of the database has version {version}, for DTQS from version {compatible} of it on; {known}: update DTQS on this host"
    return None


def migrate(section: PostgresqlSection) -> int:
    """Apply the schema in one transaction; safe to repeat, and to run twice at once. Returns its version.

    Raises ConfigError where a newer DTQS has made the schema, or processes run that would break on it; StoreUnavailable.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            _apply(section)
            return SCHEMA_VERSION
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            words = f"PostgreSQL: {error.diag.message_primary}: other transactions hold what must be changed"
            if not left:
                advice = (
                    "when they have ended (a dump, a transaction left open, another migrate), run `dtqs migrate` again"
                )
                raise StoreUnavailable(
                    f"{words}, also at attempt {_ATTEMPTS}, and nothing was changed; {advice}"
                ) from error
            logger.warning("%s; the migration is tried again", words)
            time.sleep(_PAUSE_SECONDS)
        except psycopg.errors.InsufficientPrivilege as error:
            advice = "make the role the owner of the database: ALTER DATABASE … OWNER TO …"
            raise StoreUnavailable(f"PostgreSQL: {error.diag.message_primary}; {advice}") from error
        except psycopg.Error as error:
            raise StoreUnavailable(f"PostgreSQL: {str(error).strip()}") from error
    raise AssertionError("the last attempt returns or raises")


def _apply(section: PostgresqlSection) -> None:
    dsn, seconds = section.dsn.get_secret_value(), max(2, int(section.connect_timeout_seconds))
    timeout = f"{int(section.statement_timeout_seconds * 1000)}ms"
    with psycopg.connect(dsn, connect_timeout=seconds, application_name="dtqs migrate") as connection:
        connection.execute("SET LOCAL lock_timeout = '30s'")
        connection.execute("SET LOCAL statement_timeout = '1h'")
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('dtqs'), hashtext('migrate'))")
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{int(_LOCK_SECONDS * 1000)}ms")))
        _refuse_older(connection)
        connection.execute(resource("schema.sql").read_bytes())
        # in the role, since a session SET would leak to others through PgBouncer
        row = connection.execute("SELECT current_user, current_database()").fetchone()
        assert row is not None
        role, database = sql.Identifier(row[0]), sql.Identifier(row[1])
        connection.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET statement_timeout = {}").format(
                role, database, sql.Literal(timeout)
            )
        )
        for name, value in (("schema_version", SCHEMA_VERSION), ("schema_compatible", SCHEMA_COMPATIBLE)):
            connection.execute(statement("put_setting"), {"name": name, "value": str(value)})


def _refuse_older(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Raises ConfigError before anything is changed."""
    there = connection.execute("SELECT to_regclass('settings') IS NOT NULL").fetchone()
    row = connection.execute(statement("schema_state")).fetchone() if there and there[0] else None
    if row is None or not isinstance(row[0], int):
        return
    version = f"the schema of this database has version {row[0]}"
    if row[0] > SCHEMA_VERSION:
        raise ConfigError(
            [
                f"{version}, and this `dtqs migrate` knows {SCHEMA_VERSION}: nothing was changed; update DTQS on this host"
            ]
        )
    heard = (
        connection.execute(statement("heard_of"), {"age": _HEARD_SECONDS}).fetchall()
        if row[0] <= _BREAKS_UNASKED
        else []
    )
    if heard:
        seen = ", ".join(f"{node} ({count} {role})" for node, role, count in heard)
        words = f"{version}, and what runs with it breaks on version {SCHEMA_VERSION}: nothing was changed"
        advice = f"run `dtqs migrate` {_HEARD_SECONDS:g} s later"
        raise ConfigError(
            [
                f"{words}; stop all supervisors and APIs, then {advice}. Heard of in the last {_HEARD_SECONDS:g} s: {seen}"
            ]
        )
