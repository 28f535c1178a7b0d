"""A client's connection under gunicorn: how long a request's head is waited for, when its body is asked for, its end.

A connection on which nothing has come is idle, and ends in silence. A head that has begun has a limit of its own, and
is answered when that has passed.
"""

import socket
import time
from contextlib import suppress
from typing import Any

import gevent
from gunicorn.http.errors import ParseException

_LINGER_SECONDS, _LINGER_IDLE_SECONDS, _LINGER_BYTES = 10.0, 2.0, 64 << 20
"""A refused client may go on sending its body for so long, and so much of it, before its connection is reset."""


class HeadTimeout(ParseException):  # type: ignore[misc]
    """A head that does not end."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._seconds = seconds

    def __str__(self) -> str:
        return f"the request's head did not end within {self._seconds:g} s of its first byte; send it at once"


class Connection:
    """A socket, as gunicorn uses it. What it reads while a request is waited for is a head."""

    def __init__(self, peer: Any, head_seconds: float) -> None:
        self._peer, self._head_seconds = peer, head_seconds
        self.sendall = peer.sendall
        self.answered = False
        """On when a request has been waited for before."""
        self.wait: Wait | None = None
        self.has_begun = False
        """On when a part of the next head is there."""

    def recv(self, size: int) -> bytes:
        """Raises HeadTimeout."""
        if self.wait is None:
            return self._peer.recv(size)  # type: ignore[no-any-return]
        if not self.has_begun:  # most heads come in one piece: that one needs no second limit
            piece: bytes = self._peer.recv(size)
            self.has_begun = True
            return piece
        left = self.wait.left(self._head_seconds)
        late = HeadTimeout(self._head_seconds)
        if left <= 0:
            raise late
        with gevent.Timeout(left, late):
            return self._peer.recv(size)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._peer, name)


class Wait(gevent.Timeout):  # type: ignore[misc]
    """The wait for a request, `seconds` without a byte. It is `among` those that can be ended, while there is none."""

    def __init__(self, connection: Connection, seconds: float, among: set["Wait"] | None) -> None:
        super().__init__(seconds, False)
        self._connection, self._among, self._greenlet = connection, among, gevent.getcurrent()
        self._until: float | None = None

    def __enter__(self) -> "Wait":
        self._connection.wait = self
        if self._connection.has_begun:  # it came behind the request before
            return self
        if self._among is not None:
            self._among.add(self)
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *raised: Any) -> Any:
        self._connection.wait, self._connection.has_begun = None, False
        self._leave()
        return super().__exit__(*raised)

    def left(self, head_seconds: float) -> float:
        """Return how long the rest of the head may take. The first call, when a piece is not all, is its beginning."""
        if self._until is None:
            self._until = time.monotonic() + head_seconds
            self._leave()
            self.close()
        return self._until - time.monotonic()

    def end(self) -> None:
        gevent.get_hub().loop.run_callback(self._throw)

    def _leave(self) -> None:
        if self._among is not None:
            self._among.discard(self)

    def _throw(self) -> None:
        if self._among is not None and self in self._among:  # else a request has come in this very turn
            self._greenlet.throw(self)


class Asked:
    """The body of a request whose client waits to be asked for it (Expect: 100-continue): its first read asks.

    A client that is refused before may leave its body out, or send it all the same. Nobody knows where its next
    request would begin, so the connection ends.
    """

    def __init__(self, request: Any, connection: Connection) -> None:
        self._request, self._body, self._connection = request, request.body, connection
        self._closes, request.must_close = request.must_close, True
        self._is_asked = False

    def read(self, size: int | None = None) -> bytes:
        if not self._is_asked:
            self._is_asked = True
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._request.must_close = self._closes
        return self._body.read(size)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


class Joining:
    """A connection whose first write, a reply's head, goes out with the second: one packet wakes the client once."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._head, self._first = connection, b"", True

    def sendall(self, data: bytes) -> None:
        if self._first:
            self._head, self._first = data, False
            return
        head, self._head = self._head, b""
        self._connection.sendall(head + data if head else data)

    def sendfile(self, *arguments: Any, **options: Any) -> Any:
        self.flush()
        return self._connection.sendfile(*arguments, **options)

    def flush(self) -> None:
        """Send what no second write has come for."""
        head, self._head = self._head, b""
        if head:
            self._connection.sendall(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def is_unread(request: Any) -> bool:
    """Tell whether a part of the request's body may still come."""
    reader = request.body.reader
    return request.body.failed or getattr(reader, "length", 0) > 0 or getattr(reader, "parser", None) is not None


def take_rest(request: Any) -> bool:
    """Read what the application has left of the body, so that the next head comes; return whether it has ended."""
    left = _LINGER_BYTES
    with suppress(OSError, ParseException), gevent.Timeout(_LINGER_SECONDS, False):
        while piece := request.body.read(1 << 16):
            left -= len(piece)
            if left <= 0:
                return False
        return True
    return False


def linger(connection: Any) -> None:
    """End our side, and take what the client still sends: one closed with unread bytes is reset, and the reply lost."""
    until, left = time.monotonic() + _LINGER_SECONDS, _LINGER_BYTES
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_LINGER_IDLE_SECONDS)
        while left > 0 and time.monotonic() < until and (piece := connection.recv(1 << 16)):
            left -= len(piece)


def say_last(connection: Any, reply: bytes) -> None:
    """Send the connection's last reply, to a client that may be gone."""
    with suppress(OSError):
        connection.settimeout(_LINGER_IDLE_SECONDS)
        connection.sendall(reply)
        linger(connection)
