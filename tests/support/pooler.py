"""A pooler in transaction mode that knows nothing of prepared statements, as PgBouncer before 1.22."""

import queue
import socket
import threading
from types import TracebackType
from typing import BinaryIO

_ASKS = (3, 5, 10, 11)
"""Requests of authentication that the client must answer."""
_SIZE = 4


class Pooler:
    """Gives a client a session of the server for each transaction: the one that came back last."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._idle: queue.LifoQueue[tuple[socket.socket, BinaryIO]] = queue.LifoQueue()
        self._made = 0
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> "Pooler":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._listener.close()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(self._to)
        self._sockets += [client, server]
        reader = server.makefile("rb")
        server.sendall(client.recv(10_000))
        while (message := _message(reader))[:1] != b"Z":
            client.sendall(message)
            if message[:1] == b"R" and int.from_bytes(message[5:9], "big") in _ASKS:
                server.sendall(client.recv(10_000))
        self._made += 1
        if self._made <= _SIZE:
            self._idle.put((server, reader))
        else:
            server.close()
        client.sendall(message)
        while (asked := client.recv(100_000)) and asked[:1] != b"X":
            self._transaction(client, asked)

    def _transaction(self, client: socket.socket, asked: bytes) -> None:
        server, reader = self._idle.get(timeout=10)
        while asked:
            server.sendall(asked)
            while (message := _message(reader))[:1] != b"Z":
                client.sendall(message)
            if message[5:] == b"I":
                # before the client hears of the end, so that its next transaction finds this session
                self._idle.put((server, reader))
                client.sendall(message)
                return
            client.sendall(message)
            asked = client.recv(100_000)


def _message(reader: BinaryIO) -> bytes:
    head = reader.read(5)
    if not head:
        raise ConnectionError("the server ended the session")
    return head + reader.read(int.from_bytes(head[1:], "big") - 4)
