"""The connections of an API process that wait for a request, and the end of some of them.

With almost all connections in use, each new one ends the one that has waited longest. Silent clients shut nobody out.
"""

import resource
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import gevent

_FILES, _OTHER_FILES = 65_536, 100
"""Open files that are enough, and those of a process that are no connections of clients."""
_SPARE_PART, _SPARE_MOST = 10, 200
"""The end of a connection takes a turn of the loop. This number of connections stays free for others."""


def raise_file_limit() -> None:
    """Let this process and its children open as many files as its hard limit allows: many shells set 1024 before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections(configured: int) -> int:
    """Return how many connections this process can have: each is an open file."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return configured if files == resource.RLIM_INFINITY else max(1, min(configured, files - _OTHER_FILES))


class WaitingConnection(Protocol):
    """A connection, as far as a wait changes it (connection.py)."""

    wait: "Wait | None"
    has_begun: bool
    head_bytes: int
    body_bytes: int


class RequestWaits:
    """The waits for requests in one process, the longest first. `most` is the limit of open connections."""

    def __init__(self, seconds: Callable[[], float], most: int) -> None:
        self.seconds = seconds
        """Return the present time limit of an idle connection."""
        self.silent: dict[Wait, None] = {}
        """New connections, and idle ones: they have had an answer."""
        self.heads: dict[Wait, None] = {}
        """Connections that have sent a part of a head."""
        self.rests: dict[Any, None] = {}
        """Connections with a body that comes without an API key, or after a refusal (`endable` of body.py)."""
        self._ending: set[Wait] = set()
        self._open, self._enough = 0, most - min(_SPARE_MOST, max(1, most // _SPARE_PART))

    def opened(self) -> None:
        """Count a new connection. If few are left, end the one that has waited longest for a request."""
        self._open += 1
        if self._open > self._enough:
            self._end_longest()

    def _end_longest(self) -> None:
        longest = next(iter(self.silent), None)
        if longest is None and self.rests:
            rest = next(iter(self.rests))
            del self.rests[rest]
            with suppress(OSError):
                rest.shutdown(socket.SHUT_RD)  # its reading ends; an answer is still sent
            return
        longest = longest or next(iter(self.heads), None)
        if longest is not None:
            self.forget(longest)
            self._end(longest)

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
        self._waiting.silent[self] = None
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
        """Wait for the next request after an answer. A timer is made only for another time limit."""
        seconds, self.is_idle = self._waiting.seconds(), True
        if seconds != self.seconds:
            self.timer.close()
            self.seconds, self.timer = seconds, gevent.get_hub().loop.timer(seconds, priority=-1)
        self._connection.wait = self
        self._waiting.silent[self] = None
        self.start()

    def left(self, head_seconds: float) -> float:
        """Return the time left for the rest of the head. The limit begins at the first call, after the first piece."""
        if self._until is None:
            self._until = time.monotonic() + head_seconds
            self._waiting.forget(self)
            self._waiting.heads[self] = None
            self.close()
        return self._until - time.monotonic()
