"""The operator's socket: takes one request a connection, and answers it from the loop of the supervisor.

Nothing here waits. Connections, sizes and times are limited, so no client holds the node: one that sends or reads
nothing is closed. The socket lies in the node's folder, mode 0600, and the kernel tells who connects.
"""

import contextlib
import errno
import json
import logging
import os
import select
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from dtqs.operator_socket import SOCKET, line, short_path
from dtqs.supervisor.signals import Signals

logger = logging.getLogger(__name__)
_MOST_CLIENTS = 16
_BACKLOG = 128
_MOST_REQUEST_BYTES = 4096
_CLIENT_SECONDS = 5.0
"""From the connect to the end of the answer."""
_CREDENTIALS = struct.Struct("iII")
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_DEAF_SECONDS = 1.0
"""Without a free descriptor the listener stays readable: each wait of the loop would end at once."""

Answer = Mapping[str, Any]
"""The answer as JSON. With the key `error` it is a refusal."""


@dataclass(slots=True, eq=False)
class _Client:
    socket: socket.socket
    uid: int
    until: float
    request: bytearray = field(default_factory=bytearray)
    answer: memoryview | None = None


class Control:
    """Listens while it is open. `turn` serves all clients that are ready, and never waits."""

    def __init__(self, signals: Signals, obey: Callable[[Mapping[str, Any], int], Answer]) -> None:
        self._signals, self._obey = signals, obey
        self._listener: socket.socket | None = None
        self._clients: list[_Client] = []
        self._deaf_until = float("inf")
        """When the listener is watched again. Infinite: it is watched."""

    def open(self, folder: Path) -> None:
        """Listen in the folder of the node, whose lock this process holds. Without a socket the node runs as well."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            (folder / SOCKET).unlink(missing_ok=True)
            with short_path(folder) as place:
                listener.bind(place)
                os.chmod(place, 0o600)  # before `listen`: nobody can connect earlier
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            logger.warning("no socket for dtqs ctl", extra={"reason": str(error)})
            return
        self._listener = listener
        self._signals.watch(listener.fileno(), EVENT_READ)

    def close(self) -> None:
        """Close all descriptors. A new child closes its copies; the socket of its parent stays."""
        for each in [self._listener, *(client.socket for client in self._clients)]:
            if each:
                each.close()
        self._listener, self._clients = None, []

    def next_end(self) -> float:
        """Return when the next client must be closed, or the listener is watched again."""
        return min((self._deaf_until, *(client.until for client in self._clients)))

    def turn(self, now: float) -> None:
        """Accept, read, obey and write, as far as it is possible without waiting."""
        if self._listener and self._hears(self._listener, now):
            self._accept(self._listener, now)
        for client in list(self._clients):
            try:
                is_done = self._serve(client)
            except BlockingIOError:
                is_done = False
            except OSError:
                is_done = True
            if is_done or now >= client.until:
                self._signals.watch(client.socket.fileno(), 0)
                client.socket.close()
                self._clients.remove(client)

    def _hears(self, listener: socket.socket, now: float) -> bool:
        """Tell whether the listener is watched. After a second without, watch it again."""
        if self._deaf_until == float("inf"):
            return True
        if now < self._deaf_until:
            return False
        self._deaf_until = float("inf")
        self._signals.watch(listener.fileno(), EVENT_READ)
        return True

    def _accept(self, listener: socket.socket, now: float) -> None:
        for _ in range(_MOST_CLIENTS):
            try:
                accepted, _ = listener.accept()
            except OSError as error:  # nobody is left, or there is no descriptor
                if error.errno in _NO_ROOM:
                    self._deaf_until = now + _DEAF_SECONDS
                    self._signals.watch(listener.fileno(), 0)
                return
            accepted.setblocking(False)
            if len(self._clients) >= _MOST_CLIENTS:
                _say(accepted, {"error": f"{_MOST_CLIENTS} clients are connected already; try again"})
                accepted.close()
                continue
            uid = _uid_of(accepted)
            self._clients.append(_Client(accepted, uid, now + _CLIENT_SECONDS))
            self._signals.watch(accepted.fileno(), EVENT_READ)

    def _serve(self, client: _Client) -> bool:
        """Return whether the client is served, or is gone. Raises BlockingIOError, OSError."""
        if client.answer is None:
            part = client.socket.recv(_MOST_REQUEST_BYTES)
            client.request += part
            if b"\n" not in client.request and part and len(client.request) < _MOST_REQUEST_BYTES:
                return False
            if _has_left(client.socket):
                return True  # this node was frozen: the client gave up, and nobody expects the effect any more
            client.answer = memoryview(line(self._answer(bytes(client.request), client.uid)))
            self._signals.watch(client.socket.fileno(), EVENT_WRITE)
        while client.answer:
            client.answer = client.answer[client.socket.send(client.answer, socket.MSG_NOSIGNAL) :]
        return True

    def _answer(self, request: bytes, uid: int) -> Answer:
        if uid not in (0, os.geteuid()):
            return {"error": f"user {uid} may not control this node; allowed: root and user {os.geteuid()}"}
        try:
            asked = json.loads(request)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            return {"error": f"the request is no JSON object in one line of less than {_MOST_REQUEST_BYTES} bytes"}
        try:
            return self._obey(asked, uid)
        except Exception as error:  # a fault in an answer must not end the node
            logger.exception("request of an operator failed")
            return {"error": f"the supervisor failed: {type(error).__name__}: {error}"}


def _uid_of(client: socket.socket) -> int:
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def _has_left(client: socket.socket) -> bool:
    """Tell whether the client has closed its end. One that only has nothing more to send has not."""
    look = select.poll()
    look.register(client, 0)
    return any(event & select.POLLHUP for _, event in look.poll(0))


def _say(client: socket.socket, answer: Answer) -> None:
    with contextlib.suppress(OSError):
        client.send(line(answer), socket.MSG_NOSIGNAL)
