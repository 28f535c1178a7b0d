"""Connections under gevent: each waits with watchers that it keeps. psycopg's own way, the patched poll, makes new ones for each wait: 30 µs a statement."""

from collections.abc import Generator
from typing import Any, TypeVar

import gevent
import psycopg
from gevent import get_hub

from dtqs.store.database import LimitedConnection

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
