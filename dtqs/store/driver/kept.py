"""A worker's database: the thread that opens it keeps its connection from one statement to the next.

The pool lends in turns, so that thread would find now one backend's caches warm and now the other's; and its lending costs a tenth of a tiny task.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg_pool import ConnectionPool

from dtqs.store.driver.database import Database, LimitedConnection

_FRESH_SECONDS = 5.0
"""A connection that nobody has used for longer goes through the pool: others have found out meanwhile whether the server is the same."""


class KeptDatabase(Database):
    """Other threads share what is left of the pool, which so must have a connection more than that thread's."""

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
            pool.putconn(connection)  # it judges what state the connection is in
            raise
        if self._pool is pool and self._kept is None:
            self._kept, self._used_at = connection, time.monotonic()
        else:
            pool.putconn(connection)

    def _take(self, pool: ConnectionPool[LimitedConnection]) -> LimitedConnection:
        kept, self._kept = self._kept, None  # None while it is in use: who borrows within gets another
        if kept is not None and time.monotonic() - self._used_at > _FRESH_SECONDS:
            pool.putconn(kept)
            kept = None
        return kept or pool.getconn()
