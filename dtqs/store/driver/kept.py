"""A worker's database: the thread that opens it keeps its connection from one statement to the next.

The pool lends its connections in turns, so the caches of a backend would often be cold. Lending also costs a tenth of
a tiny task.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg_pool import ConnectionPool

from dtqs.store.driver.connection import LimitedConnection
from dtqs.store.driver.database import Database

_FRESH_SECONDS = 5.0
"""A connection unused for longer goes through the pool, which knows by then whether the server was replaced."""


class KeptDatabase(Database):
    """Other threads share the rest of the pool, so the pool needs at least two connections."""

    def start(self) -> None:
        if self._pool is None:
            self._keeper = threading.get_ident()
            self._kept: LimitedConnection | None = None
            self._used_at = 0.0
        super().start()

    def stop(self) -> None:
        if self._pool is not None and self._kept is not None:
            self._pool.putconn(self._kept)
            self._kept = None
        super().stop()

    @contextmanager
    def _borrow(self, pool: ConnectionPool[LimitedConnection]) -> Iterator[LimitedConnection]:
        if threading.get_ident() != self._keeper:
            with pool.connection() as connection:
                yield connection
            return
        connection = self._take(pool)
        try:
            yield connection
        except BaseException:
            pool.putconn(connection)  # the pool checks the state of the connection
            raise
        if self._pool is pool and self._kept is None and not connection.is_left:
            self._kept, self._used_at = connection, time.monotonic()
        else:
            pool.putconn(connection)

    def _take(self, pool: ConnectionPool[LimitedConnection]) -> LimitedConnection:
        kept, self._kept = self._kept, None  # None while in use: a nested borrow gets another one
        if kept is not None and time.monotonic() - self._used_at > _FRESH_SECONDS:
            pool.putconn(kept)
            kept = None
        return kept or pool.getconn()
