"""A database under gevent: what costs a statement time there is kept from one to the next. Measured at 130 µs of CPU for a statement held bare:
psycopg's patched poll makes new watchers for each wait, 30 µs; the pool's lending and taking back, with its locks, costs 25.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import gevent
import psycopg
from gevent import get_hub
from psycopg_pool import ConnectionPool

from dtqs.config import PostgresqlSection
from dtqs.store.driver.database import Database, LimitedConnection

T = TypeVar("T")


class CooperativeConnection(LimitedConnection):
    _watchers: dict[int, Any] | None = None

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Run one of psycopg's generators to its end. What one waits for (1 to read, 2 to write, 3 either) is numbered as in gevent, and as what it is told."""
        limit = gevent.Timeout.start_new(timeout if timeout is not None else self.limit_seconds)
        try:
            wanted, hub = int(next(gen)), get_hub()
            watchers = self._watchers or self._make_watchers(hub)
            while True:
                hub.wait(watchers[wanted])
                wanted = int(gen.send(wanted))
        except StopIteration as end:
            value: T = end.value
            return value
        except gevent.Timeout as over:
            if over is not limit:
                raise
            self.pgconn.finish()  # its reply may come at any time: nobody else must get this connection
            raise psycopg.OperationalError(f"no reply within {self.limit_seconds:g} s") from over
        finally:
            limit.close()

    def close(self) -> None:
        watchers, self._watchers = self._watchers, None
        super().close()
        for watcher in (watchers or {}).values():
            watcher.close()

    def _make_watchers(self, hub: Any) -> dict[int, Any]:
        self._watchers = {events: hub.loop.io(self.pgconn.socket, events) for events in (1, 2, 3)}
        return self._watchers


class CooperativeDatabase(Database):
    """Keeps connections at hand that the pool has lent, and gives them back to it when somebody waits there, or when one is broken. For greenlets only."""

    connection_class = CooperativeConnection

    def __init__(self, section: PostgresqlSection, size: int, name: str) -> None:
        super().__init__(section, size, name)
        self._at_hand: list[LimitedConnection] = []
        self._waiting = 0

    def stop(self) -> None:
        while self._pool is not None and self._at_hand:
            self._pool.putconn(self._at_hand.pop())
        super().stop()

    @contextmanager
    def _borrow(self, pool: ConnectionPool[LimitedConnection]) -> Iterator[LimitedConnection]:
        connection = self._at_hand.pop() if self._at_hand else self._lent(pool)
        try:
            yield connection
        except BaseException:
            pool.putconn(connection)  # it judges what state the connection is in
            raise
        if self._waiting or self._pool is not pool:
            pool.putconn(connection)
        else:
            self._at_hand.append(connection)

    def _lent(self, pool: ConnectionPool[LimitedConnection]) -> LimitedConnection:
        self._waiting += 1
        try:
            return pool.getconn()
        finally:
            self._waiting -= 1
