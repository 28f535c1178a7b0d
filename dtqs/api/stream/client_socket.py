"""The client's side of a stream: its socket, its headers, and how long it may stall."""

import select
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gevent import get_hub
from gevent.monkey import get_original

STALLED_SECONDS = 60.0
"""A stream's client that takes nothing for this time is cut off. It resumes where it was."""
_READABLE = 1
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


class ClientSocket:
    """The client's connection, seen from beside the server: whether the client has left, and its time limits."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._watch, self.gone = connection, None, False

    def watch(self, left: Any) -> None:
        """Call `left` as soon as the client has left; a heartbeat would find out much later."""
        if self._connection is None:
            return
        watch = get_hub().loop.io(self._connection.fileno(), _READABLE)
        self._watch = watch

        def readable() -> None:
            poll = get_original("select", "poll")()
            poll.register(self._connection.fileno(), select.POLLRDHUP)
            self.gone = bool(poll.poll(0))
            watch.stop()  # also when it only sent something: that is nothing to a stream
            if self.gone:
                left()

        watch.start(readable)

    def unwatch(self) -> None:
        """Safe to call twice."""
        if self._watch is not None:
            self._watch.stop()
            self._watch.close()
            self._watch = None

    def cut(self) -> None:
        """End the connection. A send to it fails then as if the client had left."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.end()

    def allow_time(self) -> None:
        """Begin the client's time limits anew, for the next part of the stream. Only sends count against them."""
        if self._connection is not None:
            self._connection.settimeout(STALLED_SECONDS)


@dataclass(frozen=True, slots=True)
class StreamPace:
    heartbeat_seconds: float
    retry_seconds: float
