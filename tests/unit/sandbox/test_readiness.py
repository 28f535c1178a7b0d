"""A sandbox is ready when its own API answers: another program may have the port."""

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.stack import is_ready


class Api(BaseHTTPRequestHandler):
    """An API that knows one key."""

    def do_GET(self) -> None:
        needs_key = self.path.startswith("/tasks")
        knows = self.headers.get("Authorization") == "Bearer ours"
        self.send_response(401 if needs_key and not knows else 200)
        self.end_headers()
        self.wfile.write(b'{"rabbitmq": {"state": "connected"}}')

    def log_message(self, *_: object) -> None:
        """Be silent."""


@contextmanager
def served() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)


@pytest.mark.parametrize(("key", "is_ours"), [("ours", True), ("of another installation", False)])
def test_an_api_that_does_not_know_the_sandboxs_key_is_another_one(tmp_path: Path, key: str, is_ours: bool) -> None:
    places = SandboxPaths(tmp_path)
    assert not is_ready(places)
    with served() as port:
        places.client_env.parent.mkdir(exist_ok=True)
        # as a shell reads it, and as commands over the API do
        places.client_env.write_text(f"export DTQS_URL=http://127.0.0.1:{port}\nDTQS_API_KEY='{key}'\n")
        places.client_env.chmod(0o600)
        assert is_ready(places) is is_ours


def test_a_proxy_of_the_environment_gets_neither_the_question_nor_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # one that another test has made
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    test_an_api_that_does_not_know_the_sandboxs_key_is_another_one(tmp_path, "ours", True)
