"""The doctor's look at several sessions at once: settings, a pooler in between, prepared statements through it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import psycopg.errors
from psycopg import sql

from dtqs.config import PostgresqlSection
from dtqs.errors import StoreUnavailable
from dtqs.store.driver.connection import LimitedConnection
from dtqs.store.driver.dsn import dsn_of
from dtqs.store.driver.plain import result_of
from dtqs.store.driver.statements import statement

_CONNECTIONS = 4
_LIMIT_SECONDS = 2.0
_LOST = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement)


@dataclass(frozen=True, slots=True)
class Setting:
    """One of the role's settings as a session has it."""

    name: str
    value: str
    wanted: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class SessionsLook:
    """The findings of several connections through the DSN, each in a transaction of its own at the same time.

    `pooled`: a later transaction of a connection got another process of the server. `prepared`: a statement prepared
    before is still there; `None`: not tried.
    """

    settings: list[list[Setting]]
    pooled: bool
    prepared: bool | None


def look_at_sessions(section: PostgresqlSection, name: str) -> SessionsLook:
    """Open a few connections, look, and close them. Raises StoreUnavailable."""
    try:
        with ExitStack() as stack:
            return _look([stack.enter_context(each) for each in _opened(section, name)], section)
    except psycopg.Error as error:
        raise StoreUnavailable(f"PostgreSQL: {str(error).strip() or type(error).__name__}") from error


def standbys(run_once: Callable[[str], Sequence[Sequence[Any]]]) -> tuple[str, list[str]]:
    """Return `synchronous_standby_names` and the standbys that follow now. Raises StoreUnavailable."""
    ((synchronous, names),) = run_once("standbys")
    return synchronous, names


def _opened(section: PostgresqlSection, name: str) -> list[LimitedConnection]:
    """Connect a few times, fewer where the server has no room. Raises the driver's error if there is not one."""
    opened: list[LimitedConnection] = []
    for _ in range(_CONNECTIONS):
        try:
            connection = LimitedConnection.connect(
                dsn_of(section),
                prepare_threshold=None,
                application_name=name,
                connect_timeout=max(2, int(section.connect_timeout_seconds)),
            )
        except psycopg.Error:
            if not opened:
                raise
            break
        connection.limit_seconds = _LIMIT_SECONDS
        opened.append(connection)
    return opened


def _look(connections: list[LimitedConnection], section: PostgresqlSection) -> SessionsLook:
    parameters = {"statement_timeout": f"{int(section.statement_timeout_seconds * 1000)}ms"}
    held: dict[LimitedConnection, int] = {}
    settings = []
    for connection in connections:
        try:  # the transaction stays open: a pooler must give the next connection another session
            rows = connection.execute(statement("session_settings"), parameters).fetchall()
        except psycopg.OperationalError:  # it has no session left
            if not held:
                raise
            break
        held[connection] = rows[0][0]
        settings.append([Setting(*row[1:]) for row in rows])
    tried = section.prepared_statements
    prepared = _prepare(list(held)) if tried else True
    for connection in held:
        connection.rollback()
    # A pooler hands out the session that came back last, or the one that came back first. Backwards, both show.
    pooled = False
    for connection in reversed(held):
        pooled |= connection.execute(statement("backend_pid")).fetchall() != [(held[connection],)]
        connection.rollback()
    if tried and prepared:
        prepared = all(_still_prepared(number, connection) for number, connection in reversed(list(enumerate(held))))
    if pooled and not prepared:
        _clean(list(held))
    return SessionsLook(settings, pooled, prepared if tried else None)


def _prepare(connections: list[LimitedConnection]) -> bool:
    """Prepare a statement of another name through each connection. False: the session has one of that name."""
    try:
        for number, connection in enumerate(connections):
            connection.pgconn.send_prepare(_name(number), statement("backend_pid"))
            result_of(connection)
    except _LOST:
        return False
    return True


def _still_prepared(number: int, connection: LimitedConnection) -> bool:
    try:
        connection.pgconn.send_query_prepared(_name(number), [])
        result_of(connection)
    except _LOST:
        return False
    return True


def _clean(connections: list[LimitedConnection]) -> None:
    """Remove our statements from the sessions that live on. All are held, so each is seen."""
    for connection in connections:
        for (name,) in connection.execute(statement("doctors_prepared")).fetchall():
            connection.execute(sql.SQL("DEALLOCATE {}").format(sql.Identifier(name)))
    for connection in connections:
        connection.rollback()


def _name(number: int) -> bytes:
    return b"dtqs_doctor_%d" % number
