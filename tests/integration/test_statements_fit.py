"""Each statement of the store is accepted by PostgreSQL on a fresh schema, also one that no other test runs."""

import re
from importlib import resources

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

from dtqs.store.driver.statements import statement

NAMES = sorted(
    path.name.removesuffix(".sql")
    for path in (resources.files("dtqs.store") / "sql").iterdir()
    if path.name.endswith(".sql") and not path.name.endswith(".part.sql")
)
NEEDS_TYPES = "42P18"
"""PostgreSQL cannot tell the type of a parameter. It has found all tables and columns by then."""


def refusal(connection: "psycopg.Connection[tuple[object, ...]]", name: str) -> str:
    """Return why the schema does not fit a statement; empty if it fits."""
    numbers: dict[bytes, int] = {}

    def numbered(match: re.Match[bytes]) -> bytes:
        return b"$%d" % numbers.setdefault(match[1], len(numbers) + 1)

    text = re.sub(rb"%\((\w+)\)s", numbered, statement(name)).replace(b"%%", b"%")
    result = connection.pgconn.prepare(b"", text)
    state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
    return "" if result.status == ExecStatus.COMMAND_OK or state == NEEDS_TYPES else result.error_message.decode()


def test_every_statement_fits_the_schema(shared_dsn: str) -> None:
    assert len(NAMES) > 50
    with psycopg.connect(shared_dsn, autocommit=True) as connection:
        assert {name: why for name in NAMES if (why := refusal(connection, name))} == {}
        assert "no_such_column" in refusal_of_text(connection)


def refusal_of_text(connection: "psycopg.Connection[tuple[object, ...]]") -> str:
    return connection.pgconn.prepare(b"", b"SELECT no_such_column FROM tasks").error_message.decode()
