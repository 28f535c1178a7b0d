"""The API's worker on real connections: unfinished heads, silent clients, and `Expect: 100-continue`."""

import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import Mock

import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer
from gunicorn.config import Config
from gunicorn.glogging import Logger

from dtqs.api.http.body import endable
from dtqs.api.server import waiting
from dtqs.api.server.connection import MOST_HEAD_BYTES, Connection, HeadTimeout, take_rest
from dtqs.api.server.plain import PendingBody
from dtqs.api.server.waiting import RequestWaits, most_connections, raise_file_limit
from dtqs.api.server.worker import ApiWorker
from dtqs.errors import FilesUnavailable

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
LONG_SECONDS, SHORT_SECONDS = 10.0, 0.1
Connect = Callable[[bytes], Any]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Read the body of a POST to /read, whose Host is its API key. Refuse other requests without reading their body."""
    body = b""
    if environ["PATH_INFO"] == "/read":
        with endable(environ["gunicorn.socket"], environ["HTTP_HOST"]):
            body = environ["wsgi.input"].read()
    answer = b"%s:%d" % (environ["PATH_INFO"].encode(), len(body))
    status = "200 OK" if environ["REQUEST_METHOD"] == "GET" or body else "401 Unauthorized"
    start_response(status, [("Content-Length", str(len(answer)))])
    return [answer]


@pytest.fixture
def worker() -> Iterator[ApiWorker]:
    config = Config()
    config.set("keepalive", int(LONG_SECONDS))
    config.set("loglevel", "critical")
    one = ApiWorker(0, 0, [], None, 0, config, Logger(config))
    one.wsgi = application
    one.first_seconds = one.head_seconds = LONG_SECONDS
    yield one
    one.tmp.close()


@pytest.fixture
def connect(worker: ApiWorker) -> Iterator[Connect]:
    with serving(worker) as connected:
        yield connected


@contextmanager
def serving(worker: ApiWorker, most: int | None = None) -> Iterator[Connect]:
    """Serve as many connections at a time as gunicorn would."""
    made: list[Any] = []
    server: Any = StreamServer(
        ("127.0.0.1", 0), lambda client, address: worker.handle(server.socket, client, address), spawn=most or "default"
    )
    server.start()

    def connected(begin: bytes) -> Any:
        made.append(socket.create_connection(server.address, timeout=2 * LONG_SECONDS))
        made[-1].sendall(begin)
        return made[-1]

    yield connected
    for one in made:
        one.close()
    server.stop(timeout=1)


def wait_while(condition: Callable[[], object]) -> None:
    with gevent.Timeout(2 * LONG_SECONDS):
        while condition():
            gevent.sleep(0.001)


def rest(connection: Any) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def until(connection: Any, end: bytes) -> bytes:
    read = b""
    while not read.endswith(end):
        piece = connection.recv(1 << 16)
        assert piece, read
        read += piece
    return read


def is_refused_late(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 "), answer
    assert b"Connection: close" in head
    assert b"Content-Type: application/problem+json" in head
    return str(HeadTimeout(SHORT_SECONDS)).encode() in body


# --- heads


def test_a_head_that_stalls_is_answered_and_the_connection_ends(worker: ApiWorker, connect: Connect) -> None:
    worker.head_seconds = SHORT_SECONDS
    assert is_refused_late(rest(connect(GET[:-2])))


def test_a_head_that_comes_byte_by_byte_has_one_limit_for_all_its_bytes(worker: ApiWorker, connect: Connect) -> None:
    worker.head_seconds = SHORT_SECONDS
    connection, answer, began = connect(b"GET / HTTP/1.1\r\nX: "), b"", time.monotonic()
    connection.settimeout(SHORT_SECONDS / 10)
    while not answer and time.monotonic() < began + LONG_SECONDS:
        with suppress(TimeoutError):
            answer = connection.recv(1 << 16)
        connection.sendall(b"a")
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(LONG_SECONDS)
    assert is_refused_late(answer + rest(connection))


def test_a_head_after_an_answer_has_the_same_limit(worker: ApiWorker, connect: Connect) -> None:
    worker.head_seconds = SHORT_SECONDS
    connection = connect(GET)
    until(connection, b"/a:0")
    connection.sendall(GET[:-2])
    assert is_refused_late(rest(connection))


def test_a_head_that_arrives_with_the_request_before_it_has_the_same_limit(worker: ApiWorker, connect: Connect) -> None:
    worker.head_seconds = SHORT_SECONDS
    answered, _, late = rest(connect(GET + GET[:-2])).partition(b"/a:0")
    assert answered.startswith(b"HTTP/1.1 200")
    assert is_refused_late(late)


def test_a_head_in_two_pieces_is_answered(connect: Connect) -> None:
    connection = connect(GET[:5])
    gevent.sleep(SHORT_SECONDS)
    connection.sendall(GET[5:])
    assert until(connection, b"/a:0").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("field", [b"X: " + b"a" * 8000 + b"\r\n", b"a:\r\n"])
def test_a_head_that_is_too_long_is_refused_before_its_end(field: bytes, connect: Connect) -> None:
    connection = connect(GET[:-2])
    with suppress(OSError):  # it is refused meanwhile
        connection.sendall(field * (3 * MOST_HEAD_BYTES // len(field)))
    connection.shutdown(socket.SHUT_WR)
    answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 431 "), answer
    assert b"longer than the allowed %d bytes" % MOST_HEAD_BYTES in answer


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /sse?a=b c&ticket=SECRET HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /sse?a=é&ticket=SECRET HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
        b"GET /a HTTP/1.1\r\nHost: a\r\nAuthorization Bearer SECRET\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nCookie: SECRET\x01\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nA: b\r\n Bearer SECRET\r\n\r\n",
    ],
)
def test_the_log_of_a_malformed_request_holds_no_secret(
    begin: bytes, worker: ApiWorker, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    worker.log.error_log.setLevel("INFO")
    worker.log.error_log.addHandler(caplog.handler)
    try:
        assert rest(connect(begin)).startswith(b"HTTP/1.1 400 ")
    finally:
        worker.log.error_log.removeHandler(caplog.handler)
    assert "Invalid request from ip=127.0.0.1: " in caplog.text
    assert "SECRET" not in caplog.text


def test_each_head_of_a_connection_has_its_own_limit(connect: Connect) -> None:
    connection, field = connect(b""), b"X: " + b"a" * 7000 + b"\r\n"
    for _ in range(3):
        for piece in (GET[:-2], field, field, field, b"\r\n"):
            connection.sendall(piece)
            gevent.sleep(0.01)
        assert until(connection, b"/a:0").startswith(b"HTTP/1.1 200 ")


def test_a_connection_without_a_byte_is_closed_without_an_answer(worker: ApiWorker, connect: Connect) -> None:
    worker.first_seconds = SHORT_SECONDS
    assert rest(connect(b"")) == b""


def test_a_connection_that_is_idle_after_an_answer_is_closed(worker: ApiWorker, connect: Connect) -> None:
    worker.cfg.__dict__["keepalive"] = SHORT_SECONDS
    connection = connect(GET)
    until(connection, b"/a:0")
    assert rest(connection) == b""


@pytest.mark.parametrize("target", [b"/tasks/0", b"/a"])
def test_each_wait_for_a_request_has_the_whole_time_limit(worker: ApiWorker, connect: Connect, target: bytes) -> None:
    connection = connect(b"")
    for _ in range(3):
        gevent.sleep(0.05)
        began = time.monotonic()  # libev's timers count by the same clock
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target)
        until(connection, b":0")
        wait_while(lambda: not worker._waiting.silent)
        (wait,) = worker._waiting.silent
        assert wait.timer.at - wait.seconds >= began


def test_a_worker_that_ends_closes_idle_connections_and_answers_a_begun_head(
    worker: ApiWorker, connect: Connect
) -> None:
    idle, begun = connect(GET), connect(GET)
    for one in (idle, begun):
        until(one, b"/a:0")
    begun.sendall(GET[:5])
    wait_while(lambda: len(worker._waiting.silent) > 1)
    worker.alive = False
    worker.end_idle()
    assert rest(idle) == b""
    begun.sendall(GET[5:])
    assert rest(begun).startswith(b"HTTP/1.1 200")


# --- silent clients, and those with a part of a head, take all connections

FEW = 10


@pytest.mark.parametrize("begin", [b"", GET[:5]])
def test_clients_that_only_wait_shut_nobody_out(worker: ApiWorker, connect: Connect, begin: bytes) -> None:
    worker._waiting = RequestWaits(worker._waiting.seconds, FEW)
    waiting = [connect(begin) for _ in range(3 * FEW)]
    wait_while(lambda: len(worker._waiting.silent) + len(worker._waiting.heads) + worker._waiting._open < 2 * (FEW - 1))
    for _ in range(2 * FEW):
        assert until(connect(GET), b"/a:0").startswith(b"HTTP/1.1 200 ")
        assert worker._waiting._open <= FEW
    ended = [one for one in waiting if rest_within(one, SHORT_SECONDS) == b""]
    assert ended == waiting[: len(ended)], "the longest waits end first"
    assert len(ended) >= 2 * FEW


@pytest.mark.parametrize("begin", [GET[:5], b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"])
def test_an_idle_client_does_not_end_before_clients_that_have_waited_longer(
    worker: ApiWorker, connect_few: Connect, begin: bytes
) -> None:
    def are_waiting(count: int) -> bool:
        return len(worker._waiting.heads) + len(worker._waiting.rests) == count

    waiting = [connect_few(begin) for _ in range(FEW - 2)]
    wait_while(lambda: not are_waiting(FEW - 2))
    kept = connect_few(GET)
    until(kept, b"/a:0")
    later = [connect_few(begin) for _ in range(FEW // 2)]
    assert [rest_within(one, LONG_SECONDS) is not None for one in waiting[: FEW // 2]] == [True] * (FEW // 2)
    kept.sendall(GET)
    assert until(kept, b"/a:0").startswith(b"HTTP/1.1 200 ")
    assert all(rest_within(one, SHORT_SECONDS / 10) is None for one in later)


def rest_within(connection: Any, seconds: float) -> bytes | None:
    with gevent.Timeout(seconds, False):
        return rest(connection)
    return None


@pytest.fixture
def connect_few(worker: ApiWorker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Serve FEW connections at a time, and end slow clients soon."""
    monkeypatch.setattr(waiting, "_SLOW_SECONDS", 5 * SHORT_SECONDS)
    monkeypatch.setattr(waiting, "_AGAIN_SECONDS", SHORT_SECONDS / 10)
    worker._waiting = RequestWaits(worker._waiting.seconds, FEW)
    with serving(worker, FEW) as connected:
        yield connected


def test_clients_that_do_not_read_their_answers_shut_nobody_out(worker: ApiWorker, connect_few: Connect) -> None:
    half = b"x" * (16 << 20)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = [half, half] if environ["PATH_INFO"] == "/long" else [b"/a:0"]
        start_response("200 OK", [("Content-Length", str(sum(map(len, answer))))])
        return answer

    worker.wsgi = application
    deaf = [connect_few(GET.replace(b"/a", b"/long")) for _ in range(FEW)]
    for _ in range(2 * FEW):
        assert until(connect_few(GET), b"/a:0").startswith(b"HTTP/1.1 200 ")
        assert worker._waiting._open <= FEW
    assert any(len(rest(one)) < 2 * len(half) for one in deaf)


def test_the_end_of_many_clients_leaves_turns_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_AGAIN_SECONDS", 0)
    waits, slow = RequestWaits(lambda: 30.0, 100), [Mock() for _ in range(99)]
    waits.sends = dict.fromkeys(slow, time.monotonic())
    for _ in range(100):
        waits.opened()
    waits.sends = dict.fromkeys(slow, time.monotonic() - LONG_SECONDS)
    seen: list[int] = []
    while len(waits.sends) > 89:
        gevent.sleep(0)
        seen.append(len(waits.sends))
    assert len(set(seen)) > 5
    gevent.sleep(0)
    assert (len(waits.sends), waits._looks_again) == (89, False)


def test_a_client_whose_end_fails_does_not_keep_the_others_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_AGAIN_SECONDS", 0)
    waits, slow = RequestWaits(lambda: 30.0, 20), [Mock() for _ in range(19)]
    waits.sends = dict.fromkeys(slow, time.monotonic())
    for _ in range(20):
        waits.opened()
    waits.sends = {one: time.monotonic() - LONG_SECONDS + number for number, one in enumerate(slow)}
    slow[0].end.side_effect = RuntimeError("a fault of this test")
    with gevent.Timeout(10):
        while len(waits.sends) > 17:
            gevent.sleep(0)
    assert slow[1].end.called


def read(key: bytes) -> bytes:
    """Return a request with half of its body."""
    return b"POST /read HTTP/1.1\r\nHost: " + key + b"\r\nContent-Length: 2\r\n\r\nx"


def test_bodies_of_one_key_that_do_not_come_shut_nobody_out(worker: ApiWorker, connect_few: Connect) -> None:
    missing = [connect_few(read(b"greedy")) for _ in range(FEW)]
    for _ in range(2 * FEW):
        assert until(connect_few(GET), b"/a:0").startswith(b"HTTP/1.1 200 ")
        assert worker._waiting._open <= FEW
    ended = [one for one in missing if rest_within(one, SHORT_SECONDS) is not None]
    assert ended


def test_a_body_is_not_ended_for_others_while_another_key_has_more(worker: ApiWorker, connect_few: Connect) -> None:
    greedy = [connect_few(read(b"greedy")) for _ in range(FEW - 2)]
    modest = connect_few(read(b"modest"))
    wait_while(lambda: sum(map(len, worker._waiting._bodies.values())) < FEW - 1)
    for _ in range(3):
        assert until(connect_few(GET), b"/a:0").startswith(b"HTTP/1.1 200 ")
    for one in (modest, greedy[0]):
        one.sendall(b"y")
        assert until(one, b"/read:2").startswith(b"HTTP/1.1 200 ")
    assert rest_within(greedy[-1], SHORT_SECONDS) is not None, "the newest of the key with most ends"


def test_the_only_body_of_a_key_is_not_ended_for_another_connection(worker: ApiWorker, connect: Connect) -> None:
    worker._waiting = RequestWaits(worker._waiting.seconds, FEW)
    reading = [connect(read(b"key%d" % number)) for number in range(FEW)]
    wait_while(lambda: worker._waiting._open < FEW or worker._waiting.silent or worker._waiting.heads)
    until(connect(GET), b"/a:0")
    for one in reading:
        one.sendall(b"y")
        assert until(one, b"/read:2").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", [b"/refused", b"/session"])
def test_bodies_that_do_not_come_after_a_refusal_or_without_a_key_shut_nobody_out(
    worker: ApiWorker, connect: Connect, path: bytes
) -> None:
    worker._waiting = RequestWaits(worker._waiting.seconds, FEW)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/session":
            with endable(environ["gunicorn.socket"]):
                environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", "4")])
        return [b"/a:0"]

    worker.wsgi = application
    begin = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n"
    missing = [connect(begin) for _ in range(FEW)]
    wait_while(lambda: len(worker._waiting.rests) < FEW - 1)
    for _ in range(2 * FEW):
        assert until(connect(GET), b"/a:0").startswith(b"HTTP/1.1 200 ")
        assert worker._waiting._open <= FEW
    ended = [one for one in missing if rest_within(one, SHORT_SECONDS) is not None]
    assert ended


@pytest.mark.parametrize("path", [b"/a", b"/tasks/0"])
def test_an_answer_that_is_killed_at_the_end_of_the_process_gets_no_second_head(
    worker: ApiWorker, connect: Connect, path: bytes
) -> None:
    handled: list[Any] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        handled.append(gevent.getcurrent())
        start_response("200 OK", [("Content-Length", str(64 << 20))])
        return [b"x" * (32 << 20), b"x" * (32 << 20)]

    worker.wsgi = application
    connection = connect(2 * GET.replace(b"/a", path))
    assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    handled[0].kill(block=False)
    began = time.monotonic()
    assert b"HTTP/1.1" not in rest(connection)
    assert time.monotonic() - began < LONG_SECONDS / 2, "the connection ends at once"
    assert len(handled) == 1


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [
        (1024, 1 << 20, 65_536),
        (1024, 20_000, 20_000),
        (1024, resource.RLIM_INFINITY, 65_536),
        (1 << 19, 1 << 20, 1 << 19),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        (300, 300, 300),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, then: int
) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.append(new))
    raise_file_limit()
    assert limits[-1] == (then, hard)
    assert most_connections(5000, 8) == (96 if then == 300 else 5000)


def test_connections_leave_files_for_postgresql_and_for_an_upload_or_a_download_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    most = most_connections(5000, 200)
    assert 300 < most <= (1024 - 200) // 2 - 40
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    assert most_connections(5000, 200) == 1


@pytest.mark.parametrize("path", [b"/a", b"/tasks/0"])
def test_a_dependency_that_fails_at_the_first_byte_of_an_answer_is_reported(
    path: bytes, worker: ApiWorker, connect: Connect
) -> None:
    def pieces() -> Iterator[bytes]:
        raise FilesUnavailable("the object storage at 10.0.0.1 cannot be reached")
        yield b""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        return pieces()

    worker.wsgi = application
    answer = rest(connect(GET.replace(b"/a", path)))
    assert answer.startswith(b"HTTP/1.1 503 "), answer
    assert b"Retry-After: 2\r\n" in answer
    assert b"10.0.0.1" not in answer


# --- bodies: requested from the client, or left unread


def post(path: bytes, framing: bytes) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n%s\r\n\r\n" % (path, framing)


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_refused_client_is_not_asked_for_its_body(connect: Connect, framing: bytes) -> None:
    connection = connect(post(b"/refused", framing))
    head = until(connection, b"/refused:0")
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"Connection: close" in head
    connection.shutdown(socket.SHUT_WR)
    assert rest(connection) == b""


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 5", b"12345"), (b"Transfer-Encoding: chunked", b"5\r\n12345\r\n0\r\n\r\n")],
)
def test_a_client_is_asked_once_for_a_body_that_is_read(connect: Connect, framing: bytes, body: bytes) -> None:
    connection = connect(post(b"/read", framing))
    assert until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(body)
    head = until(connection, b"/read:5")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: keep-alive" in head
    connection.sendall(GET)
    assert until(connection, b"/a:0").startswith(b"HTTP/1.1 200 ")


def test_a_client_is_not_asked_for_an_empty_body(connect: Connect) -> None:
    assert until(connect(post(b"/read", b"Content-Length: 0")), b"/read:0").startswith(b"HTTP/1.1 401 ")


def test_an_unread_body_is_not_taken_for_a_head(worker: ApiWorker, connect: Connect) -> None:
    worker.head_seconds = SHORT_SECONDS
    connection = connect(b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n12")
    until(connection, b"/refused:0")
    gevent.sleep(2 * SHORT_SECONDS)
    connection.sendall(b"34" + GET)
    assert until(connection, b"/a:0").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("target", ["/tasks/0", "/healthz"])
def test_a_client_that_never_waits_for_an_answer_leaves_the_loop_to_others(
    target: str, worker: ApiWorker, connect: Connect
) -> None:
    order: list[str] = []

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        order.append(environ["HTTP_HOST"])
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    def requests(host: str, count: int) -> bytes:
        return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * count

    worker.wsgi = wsgi
    greedy = connect(requests("greedy", 2000))
    usual = connect(requests("usual", 1))
    for client in (greedy, usual):
        client.shutdown(socket.SHUT_WR)
        while client.recv(1 << 16):
            pass
    assert len(order) == 2001
    assert order[-1] == "greedy"


# --- bodies that cost more than their bytes


class Endless:
    """A peer whose next bytes are always at hand, as gevent's sockets see a fast sender."""

    sendall = None

    def recv(self, size: int) -> bytes:
        return b"1\r\nX\r\n"


def test_a_body_that_keeps_coming_lets_others_run() -> None:
    connection, ran = Connection(Endless(), LONG_SECONDS, RequestWaits(lambda: LONG_SECONDS, FEW)), list[bool]()
    gevent.spawn(ran.append, True)
    until = time.monotonic() + LONG_SECONDS
    while not ran and time.monotonic() < until:
        connection.recv(8192)
    assert ran, "no other greenlet had a turn"


CHUNKED = b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_refused_body_of_tiny_chunks_is_not_read_to_its_end(connect: Connect) -> None:
    connection = connect(CHUNKED % b"/refused")
    assert until(connection, b"/refused:0").startswith(b"HTTP/1.1 401 ")
    with suppress(OSError):  # the server ends the connection meanwhile
        connection.sendall(b"1\r\nX\r\n" * 200_000 + b"0\r\n\r\n" + GET)
    with suppress(OSError):
        assert b"/a:0" not in rest(connection)


def test_the_rest_of_a_refused_body_in_usual_chunks_is_read(connect: Connect) -> None:
    connection = connect(CHUNKED % b"/refused")
    until(connection, b"/refused:0")
    connection.sendall((b"64\r\n" + b"x" * 100 + b"\r\n") * 2000 + b"0\r\n\r\n" + GET)
    assert until(connection, b"/a:0").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", [b"/refused", b"/read"])
def test_trailers_of_a_chunked_body_are_bounded(path: bytes, connect: Connect) -> None:
    """gunicorn drops names with an underscore and does not count them. Its cost grows with the square of the lines."""
    trailers, last = b"a_:\r\n" * 5000, b"/refused:0"
    connection = connect(CHUNKED % path + b"1\r\nX\r\n0\r\n")
    if path == b"/refused":
        until(connection, last)
    with suppress(OSError):  # the server ends the connection meanwhile
        connection.sendall(trailers + b"\r\n" + GET)
    with suppress(OSError):
        assert b" 200 OK" not in rest(connection)


def test_a_few_trailers_are_taken(connect: Connect) -> None:
    connection = connect(CHUNKED % b"/read" + b"1\r\nX\r\n0\r\nX-Sum: 1\r\n\r\n" + GET)
    assert until(connection, b"/a:0").count(b" 200 OK") == 2


def test_a_body_with_a_length_is_read_whole(connect: Connect) -> None:
    """gunicorn asks for a megabyte at once, so more bytes have come than the application has taken."""
    for head in (b"Content-Length: 3000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n2dc6c0\r\n"):
        connection = connect(b"POST /refused HTTP/1.1\r\nHost: a\r\n" + head)
        assert until(connection, b"/refused:0").startswith(b"HTTP/1.1 401 ")
        connection.sendall(b"x" * 3_000_000 + (b"\r\n0\r\n\r\n" if b"chunked" in head else b"") + GET)
        assert until(connection, b"/a:0").startswith(b"HTTP/1.1 200 ")


def test_the_rest_of_a_body_whose_reading_was_ended_has_no_end() -> None:
    """Else bytes that still come would be read as a request."""
    waits = RequestWaits(lambda: LONG_SECONDS, FEW)

    class Peer:
        """Its connection is ended between two reads, so the next read finds the end of the bytes."""

        def settimeout(self, _: float) -> None:
            pass

        def shutdown(self, _: int) -> None:
            pass

        def recv(self, _: int) -> bytes:
            assert waits._end_one()
            return b""

    connection = Connection(Peer(), LONG_SECONDS, waits)
    assert not take_rest(PendingBody(connection, b"", 4000), connection)
