"""Applies schema.sql and knows its version."""

import psycopg
from psycopg import sql

from dtqs.config import PostgresqlSection
from dtqs.errors import StoreUnavailable
from dtqs.resources import resource
from dtqs.store.statements import statement

SCHEMA_VERSION = 4


def migrate(section: PostgresqlSection) -> int:
    """Apply the schema in one transaction; safe to repeat, and to run twice at once. Returns its version. Raises StoreUnavailable."""
    text = resource("schema.sql").read_bytes()
    timeout = f"{int(section.statement_timeout_seconds * 1000)}ms"
    try:
        dsn, seconds = section.dsn.get_secret_value(), max(2, int(section.connect_timeout_seconds))
        with psycopg.connect(dsn, connect_timeout=seconds, application_name="dtqs migrate") as connection:
            connection.execute("SET lock_timeout = '30s'")
            connection.execute("SET statement_timeout = '1h'")
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('dtqs'), hashtext('migrate'))")
            connection.execute(text)
            # in the role, since a session SET would leak to others through PgBouncer
            row = connection.execute("SELECT current_user, current_database()").fetchone()
            assert row is not None
            connection.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET statement_timeout = {}").format(sql.Identifier(row[0]), sql.Identifier(row[1]), sql.Literal(timeout))
            )
            connection.execute(statement("put_setting"), {"name": "schema_version", "value": str(SCHEMA_VERSION)})
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreUnavailable(f"PostgreSQL: {error.diag.message_primary}; make the role the owner of the database: ALTER DATABASE … OWNER TO …") from error
    except psycopg.Error as error:
        raise StoreUnavailable(f"PostgreSQL: {str(error).strip()}") from error
    return SCHEMA_VERSION
