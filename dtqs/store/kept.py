"""A worker's database: the thread that opens it keeps its connection from one statement to the next.

The pool lends in turns, so that thread would find now one backend's caches warm and now the other's; and its lending costs a tenth of a tiny task.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg_pool import ConnectionPool

from dtqs.store.database import Database, LimitedConnection


class KeptDatabase(Database):
    """Other threads share what is left of the pool, which so must have a connection more than that thread's."""

    def start(self) -> None:
        super().start()
        self._keeper = threading.get_ident()
        self._kept: LimitedConnection | None = None

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
        kept, self._kept = self._kept, None  # None while it is in use: who borrows within gets another
        connection = kept or pool.getconn()
        try:
            yield connection
        except BaseException:
            pool.putconn(connection)  # it judges what state the connection is in
            raise
        if self._pool is pool and self._kept is None:
            self._kept = connection
        else:
            pool.putconn(connection)
