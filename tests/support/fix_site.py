"""Fixture `site`: a web server on loopback that gives the answers of a test, including broken ones."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Headers = dict[str, str]
Answer = tuple[int, Headers, bytes] | Callable[[socket.socket], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing: tests cause lost clients and failed handshakes on purpose."""


class Site:
    """`answers` has the answer for each path; `seen` lists the requested paths with their headers.

    A function in `answers` writes to the bare connection, for anything that is not a proper answer.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[tuple[str, Headers]] = []
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        if context:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._scheme = "https" if context else "http"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.seen]

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def trickle(self, first: bytes) -> Callable[[socket.socket], None]:
        """Return an answer that sends these bytes, and then single bytes for ten seconds."""

        def send(connection: socket.socket) -> None:
            connection.sendall(first)
            for _ in range(200):
                if self.closing.wait(0.05):
                    break
                connection.sendall(b"x")

        return send

    def silence(self, first: bytes) -> Callable[[socket.socket], None]:
        """Return an answer that sends these bytes, and then nothing more."""

        def send(connection: socket.socket) -> None:
            connection.sendall(first)
            self.closing.wait(30)

        return send

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.seen.append((self.path, dict(self.headers)))
                answer = site.answers.get(self.path, (404, {}, b""))
                if callable(answer):
                    with suppress(OSError):
                        answer(self.connection)
                    self.close_connection = True
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


class Clock:
    """Measures how long a block takes."""

    def __enter__(self) -> "Clock":
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
