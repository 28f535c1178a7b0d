"""Applies schema.sql, knows its version, and tells which versions of schema and code go together."""

import psycopg
from psycopg import sql

from dtqs.config import PostgresqlSection
from dtqs.errors import ConfigError, StoreUnavailable
from dtqs.resources import resource
from dtqs.store.statements import statement

SCHEMA_VERSION = 6
"""The version that schema.sql makes, and the oldest that this code works on."""
SCHEMA_COMPATIBLE = 3
"""The oldest version of code that may work on it: workers of before an update run on beside the new schema."""


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

    Raises ConfigError where a newer DTQS has made the schema, StoreUnavailable.
    """
    text = resource("schema.sql").read_bytes()
    timeout = f"{int(section.statement_timeout_seconds * 1000)}ms"
    try:
        dsn, seconds = section.dsn.get_secret_value(), max(2, int(section.connect_timeout_seconds))
        with psycopg.connect(dsn, connect_timeout=seconds, application_name="dtqs migrate") as connection:
            connection.execute("SET lock_timeout = '30s'")
            connection.execute("SET statement_timeout = '1h'")
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('dtqs'), hashtext('migrate'))")
            _refuse_older(connection)
            connection.execute(text)
            # in the role, since a session SET would leak to others through PgBouncer
            row = connection.execute("SELECT current_user, current_database()").fetchone()
            assert row is not None
            connection.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET statement_timeout = {}").format(sql.Identifier(row[0]), sql.Identifier(row[1]), sql.Literal(timeout))
            )
            for name, value in (("schema_version", SCHEMA_VERSION), ("schema_compatible", SCHEMA_COMPATIBLE)):
                connection.execute(statement("put_setting"), {"name": name, "value": str(value)})
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreUnavailable(f"PostgreSQL: {error.diag.message_primary}; make the role the owner of the database: ALTER DATABASE … OWNER TO …") from error
    except psycopg.Error as error:
        raise StoreUnavailable(f"PostgreSQL: {str(error).strip()}") from error
    return SCHEMA_VERSION


def _refuse_older(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Raises ConfigError before anything is changed."""
    there = connection.execute("SELECT to_regclass('settings') IS NOT NULL").fetchone()
    row = connection.execute(statement("schema_state")).fetchone() if there and there[0] else None
    if row is not None and isinstance(row[0], int) and row[0] > SCHEMA_VERSION:
        words = f"the schema of this database has version {row[0]}, and this `dtqs migrate` knows {SCHEMA_VERSION}"
        raise ConfigError([f"{words}: nothing was changed; update DTQS on this host"])
