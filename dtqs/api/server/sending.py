"""Sends to a client as fast as it reads, within two limits: without progress, and below SLOWEST_BYTES a second.

gevent's `sendall` limits the whole call, so a steady but slow reader would lose a long answer.
"""

import errno
import logging
import socket
import time
from typing import Any

from gevent import monkey

from dtqs.api.http.body import SLOWEST_BYTES

logger = logging.getLogger(__name__)
_JOINED_BYTES = 16 << 10
"""A longer part of a body is sent apart from its head: a second send takes less time than the copy."""


class Sender:
    """Sends to one client. A call of `settimeout` begins both limits anew.

    A client may take nothing for this time. It may also be this much behind SLOWEST_BYTES a second: if it read byte by
    byte, it would otherwise hold the memory of an answer without end.
    """

    __slots__ = ("_left", "_peer", "_seconds", "_sends")

    def __init__(self, peer: Any, sends: "dict[Sender, float] | None" = None) -> None:
        """`sends` gets the sends under way, each with the time since when its client has been without progress."""
        self._peer, self._sends = peer, {} if sends is None else sends
        self._seconds: float | None = None
        self._left = 0.0

    def settimeout(self, seconds: float | None) -> None:
        self._peer.settimeout(seconds)
        self._seconds, self._left = seconds, seconds or 0.0

    def sendall(self, data: bytes) -> None:
        """Send all bytes. Raises BrokenPipeError for a client that is too slow, OSError for one that has left."""
        sent = self._send(data)
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def send_together(self, head: bytes, data: bytes) -> None:
        """Send a head and the first part of its body. A long part is not copied: all its clients may share it."""
        if len(data) <= _JOINED_BYTES:
            self.sendall(head + data if head else data)
            return
        if head:
            self._send_rest(memoryview(head), socket.MSG_MORE)
        self.sendall(data)

    def _send_rest(self, rest: memoryview, flags: int = 0) -> None:
        while rest:
            if self._seconds is not None and self._left < 0:
                raise _too_slow("it takes less than 16 KiB a second")
            rest = rest[self._send(rest, flags) :]

    def end(self) -> None:
        """End the connection during a send, which then fails as if the client had left."""
        # gevent's shutdown would wake the send with an error of its own, which gunicorn logs with a traceback
        raw = monkey.get_original("socket", "socket")(fileno=self._peer.fileno())
        try:
            raw.shutdown(socket.SHUT_RDWR)
        finally:
            raw.detach()

    def _send(self, data: bytes | memoryview, flags: int = 0) -> int:
        began = time.monotonic()
        # a client that drips is without progress for as long as it is behind
        self._sends[self] = began if self._seconds is None else began - self._seconds + self._left
        try:
            sent: int = self._peer.send(data, flags) if flags else self._peer.send(data)
        except TimeoutError:
            raise _too_slow("it takes nothing") from None
        finally:
            self._sends.pop(self, None)
        if self._seconds is not None:
            self._left = min(self._seconds, self._left - (time.monotonic() - began) + sent / SLOWEST_BYTES)
        return sent


def _too_slow(reason: str) -> BrokenPipeError:
    """Return the error that ends the connection. gunicorn does not log this kind, so one line here does."""
    logger.info("a client reads its answer too slowly: the connection is ended", extra={"reason": reason})
    return BrokenPipeError(errno.EPIPE, f"the client reads too slowly: {reason}")
