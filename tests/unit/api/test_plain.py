"""Plain requests beside gunicorn: over a corpus of requests, malformed ones too, both give the same answers."""

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import falcon
import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer
from gunicorn.config import Config
from gunicorn.glogging import Logger

from dtqs.api.http.body import close_connection, read_body, wait_for_client
from dtqs.api.server.gunicorn_private import response_of
from dtqs.api.server.plain import environ_of
from dtqs.api.server.worker import ApiWorker

SECONDS = 10.0
LIMIT_BYTES = 1000
BODY = b'{"task_type": "echo"}'
TASK = b"/tasks/0197c0de-0000-7000-8000-00000000000a"
STREAM = b"/sse?task_id=0197c0de-0000-7000-8000-00000000000a,0197c0de-0000-7000-8000-00000000000b"
OWN = re.compile(rb"\r\n(?:Date|X-Request-ID): [^\r]+")
"""Fields that differ from answer to answer."""
UNLIKE = frozenset(("REMOTE_PORT", "wsgi.input", "wsgi.errors", "gunicorn.socket", "wsgi.early_hints", "SERVER_PORT"))
"""Parts of the environment that differ by nature; early hints belong to gunicorn and nothing uses them."""


class Echo:
    """Answers with the environment and the body. Some headers make it end the connection, or leave the body."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.get_header("Origin") == "refuse":
            raise falcon.HTTPUnauthorized
        self._answer(req, resp, read_body(req, LIMIT_BYTES))

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str = "") -> None:
        self._answer(req, resp, b"")

    def _answer(self, req: falcon.Request, resp: falcon.Response, body: bytes) -> None:
        if req.get_header("Referer") == "close":
            close_connection(req)
        seen = {key: str(value) for key, value in req.env.items() if key not in UNLIKE and not key.startswith("dtqs.")}
        resp.data = json.dumps([sorted(seen.items()), body.decode("latin-1")]).encode()
        resp.content_type = "application/json"
        if req.get_header("Referer") == "control":
            resp.set_header("X-Answer", "a\x01b")
        if req.get_header("Referer") == "hop":
            resp.set_header("Keep-Alive", "timeout=5")


def application() -> Callable[..., Iterable[bytes]]:
    app: Any = falcon.App()
    app.add_route("/submit", Echo())
    app.add_route("/tasks/{task_id}", Echo())
    app.add_route("/sse", Echo())

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["dtqs.response"] = response_of(start_response)
        wait_for_client(environ, SECONDS)
        return app(environ, start_response)  # type: ignore[no-any-return]

    return wsgi


def failing(begin: bytes) -> Callable[..., Iterable[bytes]]:
    """Return an application that fails after the begin of its answer, or before there is any."""

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "10")])
        if begin:
            yield begin
        raise RuntimeError

    return wsgi


class Server:
    """A worker on a port of its own. `plain` counts the requests that it served without gunicorn."""

    def __init__(self, is_plain: bool) -> None:
        config = Config()
        config.set("keepalive", int(SECONDS))
        config.set("loglevel", "critical")
        config.set("limit_request_line", 8190)  # as conf/gunicorn.conf.py
        self.worker, self.plain = ApiWorker(0, 0, [], None, 0, config, Logger(config)), 0
        self.worker.wsgi = application()
        self.worker._plain._is_on = is_plain
        serve = self.worker._serve_plain

        def counted(connection: Any, template: dict[str, Any], data: bytes) -> bytes | None:
            rest = serve(connection, template, data)
            self.plain += rest is not None
            return rest

        self.worker._serve_plain = counted  # type: ignore[method-assign]
        self._server: Any = StreamServer(("127.0.0.1", 0), self._handle)
        self._server.start()

    def _handle(self, client: Any, address: Any) -> None:
        self.worker.handle(self._server.socket, client, address)

    def connect(self) -> Any:
        return socket.create_connection(self._server.address, timeout=SECONDS)

    def answers(self, *pieces: bytes) -> bytes:
        """Send the pieces, each after the server has read the one before, then end. Return everything that comes."""
        with self.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                client.sendall(piece)
                for _ in range(5 if len(pieces) > 1 else 0):
                    gevent.idle()
            client.shutdown(socket.SHUT_WR)
            return OWN.sub(b"", b"".join(iter(lambda: client.recv(1 << 16), b"")))

    def stop(self) -> None:
        self._server.stop(timeout=1)
        self.worker.tmp.close()


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    one = Server(is_plain=True)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def gunicorns() -> Iterator[Server]:
    one = Server(is_plain=False)
    yield one
    one.stop()


def submit(*fields: bytes, body: bytes = BODY, length: bytes | None = None) -> bytes:
    framing = b"Content-Length: %d" % len(body) if length is None else length
    head = [b"POST /submit HTTP/1.1", b"Host: a", framing, *fields]
    return b"\r\n".join(line for line in head if line) + b"\r\n\r\n" + body


def read(*fields: bytes, target: bytes = TASK, line: bytes = b"GET %s HTTP/1.1") -> bytes:
    return b"\r\n".join([line % target, b"Host: a", *fields]) + b"\r\n\r\n"


PLAIN = {
    "submit": submit(),
    "submit as a client sends it": submit(
        b"User-Agent: curl/8", b"Accept: */*", b"Authorization: Bearer dtqs_x", b"Content-Type: application/json"
    ),
    "names in small letters": submit(b"accept: */*", b"x-request-id: 7", b"IDEMPOTENCY-KEY: a b"),
    "an empty value": submit(b"Accept:"),
    "spaces around a value": submit(b"Accept:   a  b   "),
    "kept alive": submit(b"Connection: keep-alive"),
    "kept alive in capitals": submit(b"Connection: Keep-Alive"),
    "an empty body": submit(body=b""),
    "a length with zeros": submit(length=b"Content-Length: 00021"),
    "a body above the application's limit": submit(body=b"x" * (LIMIT_BYTES + 1)),
    "a read": read(),
    "a read through a proxy": read(b"X-Forwarded-For: 10.0.0.1, 10.0.0.2"),
    "a submit that waits for the outcome": submit(b"Prefer: wait=10, handling=lenient"),
    "a submit as a stream": submit(b"Accept: text/event-stream"),
    "a stream": read(target=STREAM),
    "a stream with a ticket": read(target=STREAM + b"&ticket=a-b_c.d~%2Fe"),
    "a stream as a browser asks for it": read(
        b"Accept: text/event-stream",
        b"Last-Event-ID: 4,5",
        b"Cache-Control: no-cache",
        b"Pragma: no-cache",
        b"Sec-Fetch-Mode: cors",
        b"Sec-Fetch-Dest: empty",
        b'Sec-CH-UA: "Chromium";v="156"',
        b"Priority: u=1",
        target=STREAM,
    ),
    "a stream of no task": read(target=b"/sse?"),
    "the application ends the connection": submit(b"Referer: close"),
    "the application sets a field that is not its own": submit(b"Referer: hop"),
    "the application leaves the body": submit(b"Origin: refuse"),
    "two requests at once": submit() + read(),
    "three requests at once": submit() * 3,
}
"""Requests that our own path must serve."""

FIELDS = [
    b"Connection: close", b"Connection: upgrade", b"Connection: keep-alive, close", b"Connection:", b"Host: b",
    b"Host : b", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"transfer-encoding: gzip, chunked",
    b"Transfer_Encoding: chunked", b"Content-Length: 21", b"Content-Length: 20", b"Content_Length: 5", b"TE: trailers",
    b"Trailer: X", b"Expect: 100-continue", b"Expect: 200-ok", b"Upgrade: h2c", b"Upgrade: websocket", b"Accept",
    b": empty", b" : blank", b"Accept: a\r\n folded", b"Accept: a\r\n\tfolded", b"Accept: a\x00b", b"Accept: a\x7fb",
    b"Accept: a\tb", b"\tAccept: a", b"Accept: \xe4", b"\xe4: a", b"Accept: a\rb", b"Accept: a\nb", b"Accept: a\n",
    b"Accept: a\r", b"Accept: 1\r\nAccept: 2", b"Cookie: a\r\nCookie: b", b"X-Forwarded-Proto: https",
    b"X-Forwarded-Proto: http\r\nX-Forwarded-Ssl: on", b"X-Forwarded-Host: b", b"Forwarded: for=1.2.3.4",
    b"Script-Name: /x", b"SCRIPT_NAME: /x", b"Path-Info: /x", b"Remote-User: root", b"Remote-Addr: 1.2.3.4",
    b"Proxy-Connection: close", b"Keep-Alive: 5", b"HTTP2-Settings: AA", b"Range: bytes=0-1", b"Accept(a): b",
    b"Referer: control", b"Content-Type: a\r\nContent-Type: b", b"Content-Encoding: gzip", b"X-Odd_Name: a",
    b"Accept: " + b"a" * 8200, b"X-A: b\r\n" * 120 + b"X-A: c", b"Authorization: Bearer " + b"k" * 300,
]  # fmt: skip
LENGTHS = [
    b"", b"Content-Length:", b"Content-Length: -1", b"Content-Length: +21", b"Content-Length: 21 ",
    b"Content-Length: 2 1", b"Content-Length: 0x15", b"Content-Length: 21, 21", b"Content-Length: 21.0",
    b"Content-Length: 1e1", b"Content-Length: 99999", b"Content-Length: 999999999999999999999", b"Content-Length: 20",
    b"Content-Length: 22", b"Content-Length: 0", b"Content-Length: \xb2", b"content-length: 21", b"CONTENT-LENGTH: 21",
    b"Content-Length : 21", b"Content-Length\t: 21", b"Transfer-Encoding: chunked",
]  # fmt: skip
LINES = [
    b"GET %s HTTP/1.0", b"GET %s HTTP/1.2", b"GET %s HTTP/2.0", b"GET %s HTTP/0.9", b"GET %s", b"get %s HTTP/1.1",
    b"GET  %s HTTP/1.1", b"GET %s  HTTP/1.1", b" GET %s HTTP/1.1", b"GET\t%s HTTP/1.1", b"GET %s http/1.1",
    b"GET %s HTTP/1.1 ", b"HEAD %s HTTP/1.1", b"OPTIONS %s HTTP/1.1", b"CONNECT %s HTTP/1.1", b"\r\nGET %s HTTP/1.1",
    b"\r\n\r\nGET %s HTTP/1.1", b"\nGET %s HTTP/1.1", b"DELETE %s HTTP/1.1", b"POST %s HTTP/1.1", b"G ET %s HTTP/1.1",
]  # fmt: skip
TARGETS = [
    b"/submit", b"/tasks/", b"/tasks/a/b", b"/tasks/a?b=c", b"/tasks/a#b", b"/tasks/%61", b"/tasks/..", b"//tasks/a",
    b"http://a/tasks/a", b"*", b"", b"tasks/a", b"/tasks/\xe4", b"/tasks/a\x00", b"/tasks/" + b"a" * 40,
    b"/tasks/" + b"a" * 9000, b"/tasks/a;b", b"/TASKS/a", b"/tasks//a", b"/tasks/A-0", b"/sse", b"/sse#a", b"/sse?a#b",
    b"/sse?a?b", b"/sse?a b", b"/sse?a;b", b"/sse?a=%00", b"/sse?a=%zz", b"/sse?\xe4", b"/sse?a=\x00", b"/sse?a/b",
    b"/sse?a=[1]", b"/sse?a=\"", b"/sse/?a", b"/SSE?a", b"//sse?a", b"http://a/sse?b", b"/sse%3Fa", b"/./sse?a",
    b"/sse?" + b"a" * 8000, b"/sse?" + b"a" * 9000, b"/sse?a=b&a=c&&=", b"/sse?+", b"/sse?%2B", b"/sse?a\\b",
]  # fmt: skip
BYTES = [b"\0", b"\r", b"\n", b"\t", b" ", b"\x80", b":", b"\r\n", b"\r\n\r\n", b"a"]


def corpus() -> Iterator[tuple[str, bytes]]:
    yield from PLAIN.items()
    requests: dict[str, Callable[..., bytes]] = {
        "submit": submit,
        "read": read,
        "stream": functools.partial(read, target=STREAM),
    }
    for name, request in requests.items():
        yield from ((f"{name} with {field[:60]!r}", request(field)) for field in FIELDS)
    yield from ((f"submit with {length!r}", submit(length=length)) for length in LENGTHS)
    yield from ((f"read with {length!r}", read(length)) for length in LENGTHS if length)
    yield from ((f"the line {line!r}", read(line=line)) for line in LINES)
    yield from ((f"the line {line!r} of a stream", read(target=STREAM, line=line)) for line in LINES)
    yield from ((f"the target {target[:60]!r}", read(target=target)) for target in TARGETS)
    whole = submit(b"Accept: */*")
    for at in range(0, len(whole) - len(BODY), 2):
        yield from ((f"{odd!r} at {at}", whole[:at] + odd + whole[at + 1 :]) for odd in BYTES)
    yield from ((f"cut off at {at}", whole[:at]) for at in range(len(whole)))
    # a body that is another request, and a request behind one whose length is wrong
    yield from ((f"a request behind {length!r}", submit(length=length) + read()) for length in LENGTHS)
    yield "a request as the body", submit(body=read()) + submit()
    yield "chunks, then a request", submit(body=b"0\r\n\r\n", length=b"Transfer-Encoding: chunked") + read()


def test_the_answers_are_those_of_gunicorn(ours: Server, gunicorns: Server) -> None:
    cases = list(corpus())
    assert len(cases) >= 500
    unlike = [name for name, sent in cases if ours.answers(sent) != gunicorns.answers(sent)]
    assert unlike == []
    assert gunicorns.plain == 0


@pytest.mark.parametrize("name", PLAIN)
def test_the_usual_requests_are_plain(name: str, ours: Server) -> None:
    before = ours.plain
    answer = ours.answers(PLAIN[name])
    # a request that ends the connection raises instead of returning
    assert ours.plain - before == answer.count(b"HTTP/1.1 ") - (b"Connection: close" in answer)
    assert answer


@pytest.mark.parametrize("at", [1, 30, 60, len(submit()) - len(BODY), len(submit()) - 5])
def test_a_request_in_two_pieces_is_answered_as_by_gunicorn(at: int, ours: Server, gunicorns: Server) -> None:
    whole = submit()
    expected = gunicorns.answers(whole)
    assert ours.answers(whole[:at], whole[at:]) == expected
    assert ours.answers(whole + whole[:at], whole[at:]) == 2 * expected


def test_a_large_body_in_many_pieces_is_read_as_by_gunicorn(ours: Server, gunicorns: Server) -> None:
    whole = submit(body=b"x" * 900)
    bounds = [0, *range(80, len(whole), 100), len(whole)]
    pieces = [whole[begin:end] for begin, end in pairwise(bounds)]
    assert ours.answers(*pieces) == gunicorns.answers(whole)


def test_an_answer_never_carries_a_control_character(ours: Server) -> None:
    assert ours.answers(submit(b"Referer: control")).startswith(b"HTTP/1.1 500 ")


def test_a_head_costs_linear_time() -> None:
    head = b"\r\n".join([b"GET /tasks/a HTTP/1.1", b"Host: a", *[b"X-%d: a" % number for number in range(1000)]])
    assert environ_of({}, head) is None


def test_a_worker_that_ends_says_so_in_its_answer(ours: Server) -> None:
    ours.worker.alive = False
    try:
        answer = ours.answers(submit() + submit())
    finally:
        ours.worker.alive = True
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize("begin", [b"", b"12345"])
def test_an_application_that_fails_is_answered_as_by_gunicorn(
    begin: bytes, ours: Server, gunicorns: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = []
    for server in (ours, gunicorns):
        monkeypatch.setattr(server.worker, "wsgi", failing(begin))
        with server.connect() as client:
            client.sendall(submit(b"X-Request-ID: mine"))
            whole.append(re.sub(rb"Date: [^\r]+", b"", b"".join(iter(lambda: client.recv(1 << 16), b""))))
    assert whole[0] == whole[1]
    assert whole[0].endswith(begin) if begin else b"\r\nX-Request-ID: mine\r\n" in whole[0]
