"""Connections to PostgreSQL, opened after the fork. Each wait has a limit, repeatable work is retried, and the driver's
errors become ours. It does not know the statements. Under gevent psycopg waits through the patched select.
"""

import contextlib
import functools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, TypeVar

import psycopg
import psycopg.errors
from psycopg import sql
from psycopg_pool import ConnectionPool
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from dtqs.config import PostgresqlSection
from dtqs.deadline import Deadline
from dtqs.errors import CommitUnknown, StoreUnavailable
from dtqs.store.driver.connection import ADAPTERS, LimitedConnection, Row
from dtqs.store.driver.dsn import dsn_of
from dtqs.store.driver.failures import AGAIN, ours
from dtqs.store.driver.plain import runner
from dtqs.store.driver.pool_use import PoolUse
from dtqs.store.driver.schema import refusal

T = TypeVar("T")
_REPEATED = (*AGAIN, psycopg.errors.CheckViolation)
_MOST_DEADLOCKS, _DEADLOCKS = 20, "PostgreSQL: twenty deadlocks in a row"
_REPLY_SECONDS = 2.0
"""How long a reply may take beyond the server's statement timeout before the connection is closed."""


class Database:
    """A pool of at most `size` connections of one process."""

    connection_class: ClassVar[type[LimitedConnection]] = LimitedConnection

    def __init__(self, section: PostgresqlSection, size: int, name: str) -> None:
        self._section, self._size, self._name, self._dsn = section, size, name, dsn_of(section)
        self._pool: ConnectionPool[LimitedConnection] | None = None

    def start(self) -> None:
        """Open the pool. It connects in the background and on demand. Safe to call twice."""
        if self._pool is not None:
            return
        section = self._section
        self._pool = ConnectionPool(
            self._dsn,
            connection_class=self.connection_class,
            kwargs={
                "context": ADAPTERS,
                "autocommit": True,
                "prepare_threshold": 0 if section.prepared_statements else None,
                "application_name": self._name,
                "connect_timeout": max(2, int(section.connect_timeout_seconds)),
            },
            open=True,
            min_size=1,
            max_size=self._size,
            timeout=section.connect_timeout_seconds,
            reconnect_timeout=1.0,  # the longest delay before the next try after an outage
            configure=self._configure,
            name=self._name,
        )

    def stop(self) -> None:
        """Close all connections. Safe to call twice."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.close(timeout=1.0)

    def pool_use(self) -> PoolUse:
        """Return how the pool is used, and was until now."""
        return PoolUse.of(self._pool.get_stats() if self._pool is not None else {})

    def _configure(self, connection: LimitedConnection) -> None:
        # The server's own limit is a setting of the role (schema.py): a SET would leak to others through PgBouncer.
        connection.limit_seconds = self._section.statement_timeout_seconds + _REPLY_SECONDS
        connection.add_notice_handler(connection.note)
        connection.opened_at = time.monotonic()
        connection.prepared = set() if self._section.prepared_statements else None

    def _borrow(self, pool: "ConnectionPool[LimitedConnection]") -> AbstractContextManager[LimitedConnection]:
        return pool.connection()

    @contextmanager
    def _connection(self) -> Iterator[LimitedConnection]:
        """Borrow a connection. The driver's exceptions leave as StoreUnavailable or StoreRefused."""
        if self._pool is None:
            raise StoreUnavailable("the connection pool is closed")
        try:
            with self._borrow(self._pool) as connection:
                try:
                    yield connection
                except psycopg.errors.ReadOnlySqlTransaction:
                    connection.leave_if(True)
                    raise
        except psycopg.Error as error:
            translated = ours(error)
            if translated is None:
                raise
            raise translated from error

    def schema_refusal(self) -> str | None:
        """Return why this code must not work on the database's schema, or None.

        Raises StoreUnavailable, also if there is no schema yet.
        """
        ((version, compatible, _),) = self.run_once("schema_state")
        return refusal(version, compatible)

    def state(self, deadline: Deadline) -> tuple[str | None, bool]:
        """Return why this code must not work on the schema, or None, and whether the server is read-only.

        A standby is read-only, and so is a server that was set to it. Raises StoreUnavailable.
        """
        version, compatible, read_only = self.look("schema_state", deadline)
        return refusal(version, compatible), bool(read_only)

    def look(self, name: str, deadline: Deadline) -> Row:
        """Return the only row of a statement whose last column says whether the server is read-only.

        If it is, the connection does not stay. Raises StoreUnavailable.
        """
        try:
            return self._look_once(name)
        except StoreUnavailable as error:
            return self._again(lambda: self._look_once(name), deadline, error)

    def _look_once(self, name: str) -> Row:
        for _ in range(_MOST_DEADLOCKS):
            try:
                with self._connection() as connection:
                    (row,) = runner(name).run(connection, None)
                    connection.leave_if(bool(row[-1]))
                return row
            except AGAIN as error:  # a standby cancels a read that holds up its recovery
                self._make_room(error)
        raise StoreUnavailable(_DEADLOCKS)

    def run_once(self, name: str, parameters: Mapping[str, Any] | None = None, few: bool = False) -> list[Row]:
        """Run one statement and commit it. Raises StoreUnavailable.

        After a deadlock it is retried, since nothing happened. After a lost connection it is not: it may have happened.
        `few`: the result has few rows, so run it without the driver's cursor (plain.py).
        """
        for _ in range(_MOST_DEADLOCKS):
            try:
                with self._connection() as connection:
                    return runner(name, few).run(connection, parameters)
            except _REPEATED as error:
                self._make_room(error)
        raise StoreUnavailable(_DEADLOCKS)

    def run(
        self,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        deadline: Deadline | None = None,
        few: bool = False,
        again: str = "",
    ) -> list[Row]:
        """Run a repeatable statement; retry after a lost connection until the deadline. Raises StoreUnavailable.

        `again`: the repeatable one, if the first try may use a cheaper one that fails on rows of an earlier call.
        """
        try:
            with self._connection() as connection:
                return runner(name, few).run(connection, parameters)
        except (StoreUnavailable, *_REPEATED) as error:
            return self._again(lambda: self.run_once(again or name, parameters, few), deadline, error)
        except psycopg.errors.UniqueViolation:
            if not again:
                raise
            return self.run(again, parameters, deadline, few)

    def transaction(self, work: "Callable[[Run], T]", deadline: Deadline | None = None) -> T:
        """Run several statements in one repeatable transaction. Raises StoreUnavailable."""
        try:
            return self.transaction_once(work)
        except StoreUnavailable as error:
            return self._again(lambda: self.transaction_once(work), deadline, error)

    def confirm(
        self, name: str, parameters: Mapping[str, Any] | None = None, deadline: Deadline | None = None
    ) -> list[Row]:
        """Run a repeatable statement that may only find an earlier commit's rows, and wait until these are durable.

        Raises StoreUnavailable.
        """

        def work(run: Run) -> list[Row]:
            rows = run(name, parameters)
            run("wait_for_earlier")
            return rows

        return self.transaction(work, deadline)

    def transaction_once(self, work: "Callable[[Run], T]") -> T:
        """Run several statements in one transaction, not again after a lost connection.

        Raises StoreUnavailable, and CommitUnknown if only the COMMIT failed.
        """
        for _ in range(_MOST_DEADLOCKS):
            commits = False
            try:
                with self._connection() as connection, connection.transaction():
                    result = work(functools.partial(_run_on, connection))
                    commits = True
                return result
            except _REPEATED as error:
                self._make_room(error)
            except StoreUnavailable as error:
                if commits:
                    raise CommitUnknown(str(error)) from error
                raise
        raise StoreUnavailable(_DEADLOCKS)

    def select(self, command: sql.Composed, parameters: Mapping[str, Any]) -> list[Row]:
        """Run a composed statement, on one day's partition. Raises StoreUnavailable."""
        with self._connection() as connection:
            return connection.execute(command, parameters).fetchall()

    def another(self, name: str, limit_seconds: float) -> "Database":
        """Return a one-connection database with short timeouts, for status pages."""
        limits = {"connect_timeout_seconds": limit_seconds, "statement_timeout_seconds": limit_seconds}
        return type(self)(self._section.model_copy(update=limits), 1, name)

    def administer(self, command: sql.Composed, alone: bool = False) -> None:
        """Run one DDL command. It gives up after 1 s of waiting, since others would wait behind it.

        `alone`: the command cannot run in a transaction. Only the role's statement timeout ends it, since a session's
        lock timeout would leak through PgBouncer. Raises StoreUnavailable.
        """
        with (
            self._connection() as connection,
            contextlib.suppress(psycopg.errors.UndefinedTable),  # another keeper was faster
        ):
            if alone:
                connection.execute(command)
                return
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '1s'")
                connection.execute(command)

    def _make_room(self, error: psycopg.Error) -> None:
        """Prepare another try after an error that has undone all work: a short wait, or the missing partition.

        A log row's day has no partition after a week without a keeper.
        """
        if isinstance(error, AGAIN):
            time.sleep(random.uniform(0.001, 0.02))
            return
        if error.diag.table_name != "logs" or error.diag.constraint_name:
            raise error
        with self._connection() as connection:
            connection.execute(
                "SELECT make_logs_partition((now() AT TIME ZONE 'UTC')::date + days) FROM generate_series(0, 1) days"
            )

    def _again(self, call: Callable[[], T], deadline: Deadline | None, error: StoreUnavailable | psycopg.Error) -> T:
        """Repeat a call that has failed once. The first call is plain, since tenacity costs 20 µs."""
        seconds = deadline.remaining if deadline else self._section.statement_timeout_seconds
        if isinstance(error, psycopg.Error):  # its work is undone: another try is free
            with contextlib.suppress(StoreUnavailable):  # the next try makes room itself
                self._make_room(error)
        elif seconds <= 0 or self._pool is None:
            raise error
        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, StoreUnavailable) and self._pool is not None),
            wait=wait_exponential_jitter(multiplier=0.02, max=1.0, jitter=0.02),
            stop=stop_after_delay(seconds),
            reraise=True,
        )(call)


def _run_on(
    connection: LimitedConnection, name: str, parameters: Mapping[str, Any] | None = None, few: bool = False
) -> list[Row]:
    return runner(name, few).run(connection, parameters)


Run = Callable[..., list[Row]]
"""The function that a transaction's work gets: it runs a statement by name with its parameters."""
