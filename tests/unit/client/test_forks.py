"""A client after a fork: each process has connections of its own, and reads no answer that belongs to the other."""

import http.server
import os
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from dtqs.client import Client
from tests.support.certificates import two_authorities, write_certificate

TASK = "01929f3a-0000-7000-8000-000000000001"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        port = self.client_address[1]
        if self.path.startswith("/sse"):
            self._stream(f'{{"task_id": "{TASK}", "port": {port}}}')
            return
        body = str(port).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, data: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(100):
            self.wfile.write(f"retry: 10\nevent: progress\nid: {number}\ndata: {data}\n\n".encode())
            time.sleep(0.05)

    def log_message(self, *_: Any) -> None:
        """Write no log."""


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Ignore a client that leaves a stream."""


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that tells each request the port of its connection."""
    authority: trustme.CA = two_authorities(tmp_path)
    write_certificate(tmp_path, "server", authority.issue_cert("127.0.0.1"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with _Server(("127.0.0.1", 0), _Handler) as one:
        if request.param == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
            one.socket = context.wrap_socket(one.socket, server_side=True)
        thread = threading.Thread(target=one.serve_forever, args=(0.02,))
        thread.start()
        yield f"{request.param}://127.0.0.1:{one.server_port}"
        one.shutdown()
        thread.join(10)


def in_child(call: Callable[[], object]) -> str:
    """Return the text of the call's value in a forked process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "nothing"
        try:
            text = str(call())
        except BaseException as error:
            text = repr(error)
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


def port(client: Client) -> int:
    return client._calls.get("/port", int)


def test_a_forked_process_has_connections_of_its_own(url: str) -> None:
    with Client(url, again_seconds=0) as client:
        ours = port(client)
        theirs = in_child(lambda: [port(client), port(client)])
        first, second = map(int, theirs.strip("[]").split(", "))
        assert first != ours
        assert first == second, "it keeps its connection, too"
        in_child(client.close)
        assert port(client) == ours, "the end of the other process closes nothing here"


def test_a_stream_goes_on_in_a_forked_process_by_a_connection_of_its_own(url: str) -> None:
    with Client(url, again_seconds=0) as client:
        events = client.stream(TASK, wait_seconds=20)
        ours = next(events).data["port"]
        theirs = in_child(lambda: [next(events).data["port"] for _ in range(3)][-1])
        assert theirs.isdecimal(), theirs
        assert int(theirs) != ours
        assert [next(events).data["port"] for _ in range(3)] == [ours] * 3


def test_a_closed_client_is_closed_in_a_forked_process_too(url: str) -> None:
    client = Client(url, again_seconds=0)
    client.close()
    assert "the client is closed" in in_child(lambda: port(client))
