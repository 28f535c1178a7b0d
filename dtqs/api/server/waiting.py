"""The connections of an API process that wait for their clients, and the end of some of them.

With almost all connections in use, each new one ends another: the one that has waited longest for a request; or else a
client that does not read its answer; or else the newest body of the API key with most. They shut nobody out.
"""

import resource
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import gevent

from dtqs.api.server.sending import Sender

_FILES, _OTHER_FILES, _CONNECTION_FILES = 65_536, 100, 2
"""Open files that are enough; files of a process without PostgreSQL and clients; and files of a client: its connection,
and the upload or the download that it may have."""
_SPARE_PART, _SPARE_MOST = 10, 200
"""The end of a connection takes a turn of the loop. This number of connections stays free for others."""
_SLOW_SECONDS, _AGAIN_SECONDS = 1.0, 0.5
"""A send without progress for this time may be ended for others, and the pause before another look if none may yet."""


def raise_file_limit() -> None:
    """Let this process and its children open as many files as its hard limit allows: many shells set 1024 before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections(configured: int, pool_size: int) -> int:
    """Return how many connections a process can have with its limit of open files. `pool_size`: those to PostgreSQL."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return configured
    return max(1, min(configured, (files - _OTHER_FILES - pool_size) // _CONNECTION_FILES))


class WaitingConnection(Protocol):
    """A connection, as far as a wait changes it (connection.py)."""

    wait: "Wait | None"
    has_begun: bool
    head_bytes: int
    body_bytes: int


class RequestWaits:
    """The waits for clients in one process, the longest first. `most` is the limit of open connections."""

    def __init__(self, seconds: Callable[[], float], most: int) -> None:
        self.seconds = seconds
        """Return the present time limit of an idle connection."""
        self.silent: dict[Wait, float] = {}
        """New connections, and idle ones, which have had an answer. Each list has the times when its waits began."""
        self.heads: dict[Wait, float] = {}
        """Connections that have sent a part of a head."""
        self.rests: dict[Any, float] = {}
        """Connections with a body that comes without an API key, or after a refusal (`endable` of body.py)."""
        self.sends: dict[Sender, float] = {}
        """Sends under way, each with the time since when its client has been without progress."""
        self._bodies: dict[str, dict[Any, None]] = {}
        """Connections with a body that comes with an API key, for each key."""
        self._ending: set[Wait] = set()
        self._open, self._enough, self._most = 0, most - min(_SPARE_MOST, max(1, most // _SPARE_PART)), most
        self._looks_again = False

    def opened(self) -> None:
        """Count a new connection. If few are left, end another one."""
        self._open += 1
        if self._open > self._enough and not self._end_one():
            self._look_later()

    def body_begins(self, connection: Any, holder: str) -> None:
        """Note that the body of a request comes, without an API key if `holder` is empty."""
        if holder:
            self._bodies.setdefault(holder, {})[connection] = None
        else:
            self.rests[connection] = time.monotonic()

    def body_ends(self, connection: Any, holder: str) -> None:
        self.rests.pop(connection, None)
        bodies = self._bodies.get(holder)
        if bodies is not None:
            bodies.pop(connection, None)
            if not bodies:
                del self._bodies[holder]

    def _look_later(self) -> None:
        """With no connection left, none is accepted, so no new one ends another."""
        if self._open >= self._most and not self._looks_again:
            self._looks_again = True
            gevent.spawn_later(_AGAIN_SECONDS, self._look_again)

    def _look_again(self) -> None:
        """End as many as new connections would. Others have turns between: 200 searches can take 100 ms."""
        left = self._open - self._enough if self._open >= self._most else 0
        try:
            while left > 0 and self._end_one():
                left -= 1
                gevent.sleep(0)
        finally:
            self._looks_again = False
            if left > 0:
                self._look_later()

    def _end_one(self) -> bool:
        return self._end_longest() or self._end_slowest() or self._end_body()

    def _end_longest(self) -> bool:
        """End the wait for a request, or for the rest of one, that began first."""
        firsts: list[tuple[Any, float]] = [
            next(iter(waits.items())) for waits in (self.silent, self.heads, self.rests) if waits
        ]
        longest, _ = min(firsts, key=lambda first: first[1], default=(None, 0.0))
        if longest is None:
            return False
        if isinstance(longest, Wait):
            self.forget(longest)
            self._end(longest)
        else:
            del self.rests[longest]
            longest.cut()
        return True

    def _end_slowest(self) -> bool:
        """End the connection whose client has been without progress for longest."""
        slowest = min(self.sends, key=self.sends.__getitem__, default=None)
        if slowest is None or time.monotonic() - self.sends[slowest] < _SLOW_SECONDS:
            return False
        del self.sends[slowest]
        with suppress(OSError):
            slowest.end()
        return True

    def _end_body(self) -> bool:
        """End the newest body of the API key with most. A key's only body is not ended."""
        most = max(self._bodies.values(), key=len, default={})
        if len(most) < 2:
            return False
        most.popitem()[0].cut()
        return True

    def closed(self) -> None:
        self._open -= 1

    def end_idle(self) -> None:
        """End the idle connections."""
        for wait in [wait for wait in self.silent if wait.is_idle]:
            self._end(wait)

    def forget(self, wait: "Wait") -> None:
        self.silent.pop(wait, None)
        self.heads.pop(wait, None)
        self._ending.discard(wait)

    def _end(self, wait: "Wait") -> None:
        self._ending.add(wait)
        gevent.get_hub().loop.run_callback(self._throw, wait)

    def _throw(self, wait: "Wait") -> None:
        # without this check, a request that came in the same turn of the loop would be lost
        if wait in self._ending:
            self._ending.discard(wait)
            wait.greenlet.throw(wait)


class Wait(gevent.Timeout):  # type: ignore[misc]
    """The wait for a request, at most `seconds` without a byte. An ending server does not wait if it `is_idle`."""

    seconds: float
    timer: Any

    def __init__(self, connection: WaitingConnection, seconds: float, waiting: RequestWaits, is_idle: bool) -> None:
        super().__init__(seconds, False)
        self._connection, self._waiting, self.is_idle, self.greenlet = connection, waiting, is_idle, gevent.getcurrent()
        self._until: float | None = None

    def __enter__(self) -> "Wait":
        self._connection.wait = self
        if self._connection.has_begun:  # a part came behind the request before
            return self
        self._waiting.silent[self] = time.monotonic()
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *raised: Any) -> Any:
        self._connection.wait, self._connection.has_begun = None, False
        self._connection.head_bytes = self._connection.body_bytes = 0
        self._waiting.forget(self)
        return super().__exit__(*raised)

    def pause(self) -> None:
        """End the time limit, since a head has begun."""
        self._connection.wait = None
        self._waiting.forget(self)
        self.cancel()

    def again(self) -> None:
        """Wait for the next request after an answer.

        It needs a new timer, for 0.2 µs: one that is stopped and started again goes on with the time that was left.
        """
        self.seconds, self.is_idle = self._waiting.seconds(), True
        self.timer.close()
        self.timer = gevent.get_hub().loop.timer(self.seconds, priority=-1)
        self._connection.wait = self
        self._waiting.silent[self] = time.monotonic()
        self.start()

    def left(self, head_seconds: float) -> float:
        """Return the time left for the rest of the head. The limit begins at the first call, after the first piece."""
        if self._until is None:
            began = time.monotonic()
            self._until = began + head_seconds
            self._waiting.forget(self)
            self._waiting.heads[self] = began
            self.close()
        return self._until - time.monotonic()
