"""A client's connection under gunicorn: time limits of a request's head, `100 Continue`, and the end.

An idle connection, without a byte of a head, ends in silence. A head that has begun has its own time limit. When that
has passed, the client gets an answer.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from gunicorn.http.errors import LimitRequestHeaders, ParseException

from dtqs.api.http.body import READ_BYTES, endable, is_mostly_framing
from dtqs.api.server.gunicorn_private import swap_must_close
from dtqs.api.server.sending import Sender
from dtqs.api.server.waiting import RequestWaits, Wait

_PLAIN_BYTES = 16 << 10
"""A plain request that comes in one piece is read at once up to this size."""
MOST_HEAD_BYTES = 32 << 10
"""Longest head of a request. gunicorn alone takes 800 KB, and looks through all of it again after each piece."""
_USUAL_BYTES, _CHUNK_HEADS_BYTES = 8 << 10, 1 << 10
"""gunicorn reads the first size if it does not know how much of a body follows. It gets the second one at most."""
_TURN_SECONDS = 0.005
"""How long a body that keeps coming may hold the loop. gevent's recv lets nobody run while bytes are at hand."""
_LINGER_SECONDS, _LINGER_IDLE_SECONDS, _LINGER_BYTES = 10.0, 2.0, 64 << 20
"""Limits on what a refused client may still send of its body before its connection is reset."""


class HeadTimeout(ParseException):  # type: ignore[misc]
    """A head did not end in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._seconds = seconds

    def __str__(self) -> str:
        return f"the request's head did not end within {self._seconds:g} s of its first byte; send it at once"


class Connection:
    """A socket, as gunicorn uses it. Bytes that it reads during a wait for a request belong to a head."""

    def __init__(self, peer: Any, head_seconds: float, waits: RequestWaits) -> None:
        self._peer, self._head_seconds, self.waits = peer, head_seconds, waits
        self.plain: Callable[[bytes], bytes | None] | None = None
        """Serves a plain request at the start of the data, and returns the bytes behind it; None: it is not plain."""
        sender = Sender(peer, waits.sends)
        self.sendall, self.settimeout, self.end = sender.sendall, sender.settimeout, sender.end
        self.send_together = sender.send_together
        self.answered = False
        """Set after the first wait for a request."""
        self.wait: Wait | None = None
        self.is_cut = False
        """Set when its reading was ended for others: connections, or room for uploads, are few. More may still come."""
        self.has_begun = False
        """Set when a part of the next head has come."""
        self.head_bytes = 0
        """Bytes of the present head that came behind its first piece."""
        self.body_bytes = 0
        """Bytes read since the head, with the sizes of chunks."""
        self._yields_at = 0.0

    def recv(self, size: int) -> bytes:
        """Return bytes from the client. Raises HeadTimeout, LimitRequestHeaders."""
        if self.wait is None:
            return self._recv_body(size)
        # most heads come in one piece, which needs no second time limit
        if not self.has_begun:
            piece = self._begin_of_head(self.wait, size)
            self.has_begun = True
            return piece
        left = self.wait.left(self._head_seconds)
        late = HeadTimeout(self._head_seconds)
        if left <= 0:
            raise late
        if self.head_bytes > MOST_HEAD_BYTES:
            # raised before gunicorn looks through all of it once more
            raise LimitRequestHeaders(f"the request's head is longer than the allowed {MOST_HEAD_BYTES} bytes")
        with gevent.Timeout(left, late):
            more: bytes = self._peer.recv(size)
        self.head_bytes += len(more)
        return more

    def cut(self) -> None:
        """End the reading of a body. An answer is still sent."""
        self.is_cut = True
        with suppress(OSError):
            self._peer.shutdown(socket.SHUT_RD)

    def _recv_body(self, size: int) -> bytes:
        """Return bytes of a body. Others have a turn first, and time limits too, if it has held the loop for long."""
        now = time.monotonic()
        if now >= self._yields_at:
            if self._yields_at:
                gevent.sleep(0)
            self._yields_at = time.monotonic() + _TURN_SECONDS
        # heads of chunks cost most: a thousand chunks of one byte hold the loop for 30 ms
        most = _CHUNK_HEADS_BYTES if size <= _USUAL_BYTES else READ_BYTES
        piece: bytes = self._peer.recv(min(size, most))
        self.body_bytes += len(piece)
        return piece

    def _begin_of_head(self, wait: "Wait", size: int) -> bytes:
        """Return the first bytes of a head that is not plain. Plain requests before it are served here."""
        piece: bytes = self._peer.recv(max(size, _PLAIN_BYTES))
        if self.plain is None:
            return piece
        while piece:
            wait.pause()
            rest = self.plain(piece)
            if rest is None:
                self.wait = wait
                return piece
            if rest:
                gevent.sleep(0)  # a client that never waits for an answer must not hold the loop
                piece = rest
            else:
                wait.again()
                piece = self._peer.recv(_PLAIN_BYTES)
        return piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._peer, name)


class AwaitedBody:
    """A body that its client sends only after `100 Continue`, which the first read sends.

    A client that is refused before may omit its body or send it. The start of its next request is then unknown, so the
    connection ends.
    """

    def __init__(self, request: Any, connection: Connection) -> None:
        self._request, self._body, self._connection = request, request.body, connection
        self._must_close = swap_must_close(request, True)
        self._is_asked = False

    def read(self, size: int | None = None) -> bytes:
        if not self._is_asked:
            self._is_asked = True
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            swap_must_close(self._request, self._must_close)
        return self._body.read(size)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


class Joining:
    """A connection that sends a reply's head together with the first part of its body.

    Measured with gevent on loopback TCP: one send and read take 13 µs of processor time, two sends and a read 21 µs.
    A long part is not copied for it: many clients that do not read would hold a copy each.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._head, self._first = connection, b"", True

    def sendall(self, data: bytes) -> None:
        if self._first:
            self._head, self._first = data, False
            return
        head, self._head = self._head, b""
        self._connection.send_together(head, data)

    def sendfile(self, *arguments: Any, **options: Any) -> Any:
        self.flush()
        return self._connection.sendfile(*arguments, **options)

    def flush(self) -> None:
        """Send a head that no second write has followed."""
        head, self._head = self._head, b""
        if head:
            self._connection.sendall(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def take_rest(body: Any, connection: Connection) -> bool:
    """Read the rest of a body, so that the next head comes next. Return whether the body has ended."""
    begin, taken = connection.body_bytes, 0
    connection.settimeout(_LINGER_IDLE_SECONDS)
    with endable(connection), suppress(OSError, ParseException), gevent.Timeout(_LINGER_SECONDS, False):
        while piece := body.read(1 << 13):
            taken += len(piece)
            if taken >= _LINGER_BYTES or is_mostly_framing(connection.body_bytes - begin, taken):
                return False
        return not connection.is_cut  # the rest of a body that was cut would be read as a head
    return False


def linger(connection: Any) -> None:
    """End our side, then read what the client still sends: closing with unread bytes resets it, and loses the reply."""
    until, left = time.monotonic() + _LINGER_SECONDS, _LINGER_BYTES
    with endable(connection), suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_LINGER_IDLE_SECONDS)
        while left > 0 and time.monotonic() < until and (piece := connection.recv(1 << 16)):
            left -= len(piece)


def send_last(connection: Any, reply: bytes) -> None:
    """Send the connection's last reply. The client may have left."""
    with suppress(OSError):
        connection.settimeout(_LINGER_IDLE_SECONDS)
        connection.sendall(reply)
        linger(connection)
