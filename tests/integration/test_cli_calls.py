"""What the command line says again, against a server that loses replies."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dtqs.cli.calls import Api
from dtqs.cli.endpoint import Endpoint
from dtqs.cli.refusal import ApiRefusal
from dtqs.config import load


@contextmanager
def server(status: str, lost_replies: int) -> Iterator[str]:
    """Serve one task that has ended so: each cancel is a conflict, and the first replies are lost."""
    lost = [True] * lost_replies

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if lost:
                lost.pop()
                self.close_connection = True
                return
            self._answer(409, {"title": "Conflict", "detail": f"it is {status}"})

        def do_GET(self) -> None:
            self._answer(200, {"task_id": "t", "status": status})

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

        def _answer(self, code: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        thread = threading.Thread(target=one.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{one.server_port}"
        finally:
            one.shutdown()
            thread.join(10)


def cancel(url: str) -> str:
    with Api(Endpoint(url, None, "a test", load(None, {}))) as api:
        return str(api.cancel("t")["status"])


def test_a_cancel_whose_reply_was_lost_is_done() -> None:
    with server("cancelled", lost_replies=1) as url:
        assert cancel(url) == "cancelled"


@pytest.mark.parametrize(("status", "lost_replies"), [("cancelled", 0), ("completed", 1)])
def test_a_cancel_of_what_had_ended_is_refused(status: str, lost_replies: int) -> None:
    with server(status, lost_replies) as url, pytest.raises(ApiRefusal, match=status):
        cancel(url)
