"""Migrate a database's schema to this code's version, and decide which versions of schema and code work together."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from dtqs.config import PostgresqlSection
from dtqs.errors import ConfigError, StoreUnavailable
from dtqs.resources import resource
from dtqs.store.driver.dsn import dsn_of
from dtqs.store.driver.migrations import Migration, pending
from dtqs.store.driver.statements import statement

logger = logging.getLogger(__name__)
SCHEMA_VERSION = 15
"""The version of schema.sql and of the last migration, and the oldest one that this code works on."""
SCHEMA_COMPATIBLE = 3
"""The oldest version of code that may work on it: old workers run on beside the new schema during an update."""
_HEARD_SECONDS = 90.0
"""Heartbeats may be set to a minute."""
_ATTEMPTS, _LOCK_SECONDS, _PAUSE_SECONDS = 5, 3.0, 2.0
"""Claims and finishes wait behind a migration that waits for a lock, so it waits shortly, several times."""
_NEXT_LOCK_SECONDS = 0.5
"""Another session may hold the next table and wait for the first. The migration gives way before PostgreSQL, after 1 s,
ends one of the two."""
_TURN_SECONDS = 30.0
"""How long one attempt waits for another `dtqs migrate`."""
_FRESH = "schema.sql"

Connection = psycopg.Connection[tuple[Any, ...]]


def refusal(version: int | None, compatible: int | None) -> str | None:
    """Return why this code must not work on a database with that schema, or None."""
    if version is None:
        return "the database has no version of its schema: run `dtqs migrate`"
    if version < SCHEMA_VERSION:
        needed = f"this DTQS needs {SCHEMA_VERSION}: run `dtqs migrate`"
        return f"the schema of the database has version {version}, and {needed}"
    if compatible is not None and compatible > SCHEMA_VERSION:
        known = f"this one knows {SCHEMA_VERSION}: update DTQS on this host"
        return f"the schema of the database has version {version}, for DTQS from version {compatible} of it on; {known}"
    return None


@dataclass(frozen=True)
class PlannedFile:
    """One file that `dtqs migrate` would apply."""

    file_name: str
    purpose: str
    is_safe: bool
    """Processes of the database's version may run on beside it."""


def plan(section: PostgresqlSection) -> tuple[int | None, list[PlannedFile]]:
    """Return the version of the database's schema (None: empty) and the files that bring it to this code's version.

    It changes nothing. Raises ConfigError if a newer DTQS created the schema, StoreUnavailable.
    """
    with _connected(section) as connection:
        connection.read_only = True
        with connection.transaction():
            version = _version(connection)
    if version is None:
        return None, [PlannedFile(_FRESH, "The whole schema, in an empty database.", True)]
    missing = pending(version)
    return version, [PlannedFile(each.file_name, each.purpose, each.compatible <= version) for each in missing]


def unfit(section: PostgresqlSection) -> str | None:
    """Return why this code must not work on the database, or None. Raises StoreUnavailable."""
    with _connected(section) as connection:
        ((is_there,),) = connection.execute(statement("has_table"), {"table": "settings"}).fetchall()
        ((version, compatible, _),) = connection.execute(statement("schema_state")) if is_there else ((None, None, 0),)
        return refusal(version, compatible)


def migrate(section: PostgresqlSection, report: Callable[[str], None] = logger.info) -> int:
    """Bring the schema to this code's version and return that. Safe to repeat, and to run twice at once.

    Each version is one transaction. If one fails, the database stays at the version before. `report` gets a line for
    each. Raises ConfigError if a newer DTQS created the schema or if running processes would break, StoreUnavailable.
    """
    with _connected(section) as connection:
        version = 0
        while version != SCHEMA_VERSION:
            version = _persist(_Upgrade(connection, section, report))
    return version


@contextmanager
def _connected(section: PostgresqlSection) -> Iterator[Connection]:
    """Connect and disconnect. It prepares and sets nothing for the session, which would leak through PgBouncer."""
    dsn, seconds = dsn_of(section), max(2, int(section.connect_timeout_seconds))
    try:
        with psycopg.connect(
            dsn, autocommit=True, prepare_threshold=None, connect_timeout=seconds, application_name="dtqs migrate"
        ) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        advice = "make the role the owner of the database: ALTER DATABASE … OWNER TO …"
        raise StoreUnavailable(f"PostgreSQL: {error.diag.message_primary}; {advice}") from error
    except psycopg.Error as error:
        raise StoreUnavailable(f"PostgreSQL: {_one_line(error)}") from error


def _one_line(error: psycopg.Error) -> str:
    """Return the message without line breaks and tabs: a command would print them as escapes."""
    return " ".join(str(error).split()) or type(error).__name__


def _persist(upgrade: "_Upgrade") -> int:
    """Run one transaction, and again if a lock does not come. Returns the resulting version of the database."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return upgrade.run()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            cause = upgrade.held_up(error)
            if attempt == _ATTEMPTS:
                advice = "End that transaction or wait for its end (a dump, a session left open)"
                failure = f"{cause}, also at attempt {attempt}: {upgrade.stays()}"
                raise StoreUnavailable(f"{failure}. {advice}, then run `dtqs migrate` again") from error
            logger.warning("%s; attempt %d of %d follows in %g s", cause, attempt + 1, _ATTEMPTS, _PAUSE_SECONDS)
            time.sleep(_PAUSE_SECONDS)
        except psycopg.errors.InsufficientPrivilege:
            raise
        except psycopg.Error as error:
            raise StoreUnavailable(f"PostgreSQL: {_one_line(error)}; {upgrade.stays()}") from error
    raise AssertionError("the last attempt returns or raises")


class _Upgrade:
    """One transaction of `dtqs migrate`: the next version and the role's settings, or these alone."""

    def __init__(self, connection: Connection, section: PostgresqlSection, report: Callable[[str], None]) -> None:
        self._connection, self._report = connection, report
        self._statement_timeout = f"{int(section.statement_timeout_seconds * 1000)}ms"
        self._version: int | None = None
        self._file_name: str | None = None
        self._awaited: str | None = None

    def run(self) -> int:
        """Apply the transaction and return the resulting version. Raises ConfigError and the driver's errors."""
        self._file_name = None
        with self._connection.transaction():
            self._take_turn()
            self._version = _version(self._connection)
            version = self._make_whole() if self._version is None else self._advance(self._version)
            for (command,) in self._run("role_settings", statement_timeout=self._statement_timeout):
                self._connection.execute(command)
        if self._file_name:
            self._report(f"{self._file_name} is applied: the schema has version {version}")
        return version

    def stays(self) -> str:
        """Describe the database after a failure."""
        if self._connection.closed:
            return "the connection was lost; `dtqs migrate --plan` shows the remaining files"
        version = f"stays at version {self._version}" if self._version else "is as it was"
        return f"{self._file_name} is not applied and " * bool(self._file_name) + f"the database {version}"

    def held_up(self, error: psycopg.Error) -> str:
        """Describe the lock that the transaction did not get."""
        if self._awaited is None:
            return f"PostgreSQL: {error.diag.message_primary}: other transactions hold what must be changed"
        if self._file_name is None:
            return self._awaited
        found = self._run("lock_holders", table=self._awaited)
        holders = [f"process {pid} ({name or 'no name'}, role {role}{since})" for pid, role, name, since in found]
        return f"table {self._awaited} is in use by {', '.join(holders) or 'another transaction'}"

    def _run(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement(name), parameters).fetchall()

    def _limit(self, setting: str, seconds: float) -> None:
        milliseconds = sql.Literal(f"{max(1, int(seconds * 1000))}ms")
        self._connection.execute(sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(setting), milliseconds))

    def _take_turn(self) -> None:
        self._limit("statement_timeout", 3600)
        self._limit("lock_timeout", _TURN_SECONDS)
        self._awaited = "another `dtqs migrate` is at work on this database"
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtext('dtqs'), hashtext('migrate'))")
        self._awaited = None
        self._limit("lock_timeout", _LOCK_SECONDS)

    def _make_whole(self) -> int:
        self._file_name = _FRESH
        try:
            self._connection.execute(resource(_FRESH).read_bytes())
        except psycopg.errors.DuplicateTable as error:
            found = f"the database has no version of a DTQS schema, but is not empty ({error.diag.message_primary})"
            raise ConfigError([f"{found}: nothing was changed; give DTQS an empty database of its own"]) from error
        return self._record(SCHEMA_VERSION, SCHEMA_COMPATIBLE)

    def _advance(self, version: int) -> int:
        if version == SCHEMA_VERSION:
            return version
        missing = pending(version)
        if not missing or missing[0].version != version + 1:
            lacking = f"this installation of DTQS has no migration to version {version + 1}"
            raise ConfigError([f"{lacking}: nothing was changed; install DTQS again"])
        _refuse_beside_old(self._connection, version, missing)
        self._file_name = missing[0].file_name
        self._lock(missing[0].locks)
        self._connection.execute(missing[0].text)
        return self._record(missing[0].version, missing[0].compatible)

    def _lock(self, tables: tuple[str, ...]) -> None:
        """Lock the tables before any change, so that a failure can name the table. One time limit covers all."""
        given_up_at = time.monotonic() + _LOCK_SECONDS
        there = [table for table in tables if self._run("has_table", table=table) == [(True,)]]
        for table in there:
            self._awaited, left = table, given_up_at - time.monotonic()
            self._limit("lock_timeout", left if table == there[0] else min(left, _NEXT_LOCK_SECONDS))
            self._connection.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(table)))
        self._awaited = None
        self._limit("lock_timeout", _LOCK_SECONDS)

    def _record(self, version: int, compatible: int) -> int:
        for name, value in (("schema_version", version), ("schema_compatible", compatible)):
            self._connection.execute(statement("put_setting"), {"name": name, "value": str(value)})
        return version


def _version(connection: Connection) -> int | None:
    """Return the version of the schema, or None. Raises ConfigError if a newer DTQS created the schema."""
    ((is_there,),) = connection.execute(statement("has_table"), {"table": "settings"}).fetchall()
    if not is_there:
        return None
    ((version, _, _),) = connection.execute(statement("schema_state")).fetchall()
    if version is not None and version > SCHEMA_VERSION:
        known = f"this `dtqs migrate` knows {SCHEMA_VERSION}: nothing was changed; update DTQS on this host"
        raise ConfigError([f"the schema of this database has version {version}, and {known}"])
    return None if version is None else int(version)


def _refuse_beside_old(connection: Connection, version: int, missing: list[Migration]) -> None:
    """Raise ConfigError if processes run that one of the missing migrations would break."""
    breaking = next((each for each in missing if each.compatible > version), None)
    if breaking is None:
        return
    recent = connection.execute(statement("recent_processes"), {"age": _HEARD_SECONDS}).fetchall()
    if recent:
        problem = f"processes that run on version {version} of the schema break on {breaking.file_name}"
        advice = f"stop all supervisors and APIs, then run `dtqs migrate` {_HEARD_SECONDS:g} s later"
        seen = ", ".join(f"{node} ({count} {role})" for node, role, count in recent)
        message = f"{problem}: the database stays at that version; {advice}"
        raise ConfigError([f"{message}. Heard of in the last {_HEARD_SECONDS:g} s: {seen}"])
