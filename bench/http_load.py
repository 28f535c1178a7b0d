"""A load generator that is cheap enough to share two cores with the measured server.

It uses keep-alive sockets, one epoll, prebuilt bytes, and hardly any parsing.
"""

import itertools
import json
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_REPLY_SECONDS = 30
_CHUNK_BYTES = 1 << 18
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a run."""

    requests: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class BadReply(Exception):
    """The server answered with an unexpected status, so the measurement is void."""


def post(path: str, body: object, key: str) -> bytes:
    """Return the bytes of a request."""
    data = json.dumps(body, separators=(",", ":")).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + data


def with_header(request: bytes, field: str) -> bytes:
    """Return a request with one more header field."""
    head, end, body = request.partition(_END)
    return head + b"\r\n" + field.encode() + end + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def tiny(count: int | None = None, **fields: object) -> object:
    """Return the body of a submit: one tiny task, or an array of them."""
    task = {"task_type": "echo", "payload": {"a": 1}, **fields}
    return task if count is None else [task] * count


def for_seconds(request: bytes, seconds: float) -> Iterator[bytes]:
    """Repeat a request for this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield request


def times(request: bytes, count: int) -> Iterator[bytes]:
    return itertools.repeat(request, count)


class Clients:
    """Connections that stay open, each with at most one request in flight, as a context manager."""

    def __init__(self, port: int, connections: int) -> None:
        self._sockets = [_dial(port) for _ in range(connections)]

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()

    def run(self, requests: Iterable[bytes]) -> Load:
        """Send each request on the next free connection, and wait for all replies. Raises BadReply or TimeoutError."""
        source, start, count = iter(requests), time.monotonic(), 0
        with select.epoll() as poll:
            pending: dict[int, tuple[socket.socket, bytes]] = {}
            for free, request in zip(self._sockets, source, strict=False):
                free.sendall(request)
                poll.register(free, select.EPOLLIN)
                pending[free.fileno()] = (free, b"")
            while pending:
                ready = poll.poll(_REPLY_SECONDS)
                if not ready:
                    raise TimeoutError(f"no reply within {_REPLY_SECONDS} s")
                for number, _ in ready:
                    free, before = pending[number]
                    reply = before + _received(free)
                    if not _is_complete(reply):
                        pending[number] = (free, reply)
                        continue
                    count += 1
                    following = next(source, None)
                    if following is None:
                        poll.unregister(free)
                        del pending[number]
                    else:
                        free.sendall(following)
                        pending[number] = (free, b"")
        return Load(count, time.monotonic() - start)


class Client:
    """One connection for one request after the other, with complete replies, as a context manager."""

    def __init__(self, port: int) -> None:
        self._socket = _dial(port)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, request: bytes, status: bytes = b"202") -> bytes:
        """Return the body of the answer. Raises BadReply for another status."""
        self._socket.sendall(request)
        reply = b""
        while not _is_complete(reply, status):
            reply += _received(self._socket)
        return reply.partition(_END)[2]


def wait_for_event(port: int, request: bytes, event: bytes) -> None:
    """Read the stream that answers a request until an event of this name. Raises BadReply if it ends without one."""
    with _dial(port) as stream:
        stream.sendall(request)
        read, wanted = b"", b"event: " + event
        while wanted not in read:
            part = stream.recv(_CHUNK_BYTES)
            if not part:
                raise BadReply(f"the stream ended without {event.decode()}: {read[-300:]!r}")
            read += part


def _dial(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.settimeout(None)
    # timeouts in the kernel: Python's own would cost a poll for each call
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _REPLY_SECONDS, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _received(connection: socket.socket) -> bytes:
    part = connection.recv(_CHUNK_BYTES)
    if not part:
        raise BadReply("the server closed the connection")
    return part


def _is_complete(reply: bytes, status: bytes = b"202") -> bool:
    """Tell whether the reply is complete. Raises BadReply for another status."""
    end = reply.find(_END)
    if end < 0:
        return False
    if reply[9:12] != status:
        raise BadReply(reply[:600].decode("latin-1"))
    head = reply[: end + 2].lower()
    at = head.index(b"content-length:") + 15
    length = int(head[at : head.index(b"\r\n", at)])
    return len(reply) >= end + len(_END) + length
