"""HTTP itself: malformed requests, and refusals that a client can read before it has sent its whole body."""

import socket
import threading
import time
from contextlib import suppress

import httpx
import orjson
import pytest

from tests.support.fix_system import System
from tests.support.helpers import eventually

CLOSE_WAIT = 8
"""Linux's number of the state of a connection whose other side has ended its sending."""


def exchange(system: System, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send these bytes on a new connection and read until the server closes it.

    Return the answer's status, headers and body.
    """
    with socket.create_connection(("127.0.0.1", int(system.url.rpartition(":")[2])), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


def is_reset(connection: socket.socket) -> bool:
    """Return whether the other side has closed the connection.

    Nothing is sent before the server ends its side: the first byte to a closed side is answered with a reset.
    """
    with suppress(OSError):
        state: int = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state == CLOSE_WAIT:
            time.sleep(2.5)  # longer than the server waits for an idle client
            connection.sendall(b"x")
            time.sleep(0.1)
            connection.sendall(b"x")
        return False
    return True


def submit(
    system: System, headers: str, body: bytes = b'{"task_type": "echo", "payload": {}}', version: str = "1.1"
) -> bytes:
    head = f"POST /submit HTTP/{version}\r\nAuthorization: Bearer {system.key}\r\n"
    return f"{head}Content-Type: application/json\r\n{headers}\r\n".encode() + body


REFUSED = {
    "no request line": (b"nonsense\r\n\r\n", 400),
    "no version": (b"GET / HTTP/9\r\n\r\n", 400),
    "lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a long line": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "a long header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
    "no header's name": (b"GET / HTTP/1.1\r\nHost: a\r\nX Y: a\r\n\r\n", 400),
    "another expectation": (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 42\r\n\r\n", 417),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "two framings": (
        b"POST /submit HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "a compressed body": (
        b"POST /submit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "a compressed body in two headers": (
        b"POST /submit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "an unknown coding": (b"POST /submit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br\r\n\r\n", 501),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_request_gets_a_problem_document(shared: System, name: str) -> None:
    request, expected = REFUSED[name]
    status, headers, body = exchange(shared, request)
    assert (status, headers["content-type"], headers["connection"]) == (expected, "application/problem+json", "close")
    assert headers["cache-control"] == "no-store"
    assert len(headers["x-request-id"]) > 16
    document = orjson.loads(body)
    assert document["status"] == expected
    assert document["detail"]


def test_the_refusal_of_a_read_head_has_the_id_of_its_request(shared: System) -> None:
    head = b"GET /healthz HTTP/1.1\r\nX-Request-ID: mine-7\r\n\r\n"
    assert exchange(shared, head)[1]["x-request-id"] == "mine-7"


def test_http_1_0_needs_no_host(shared: System) -> None:
    length = "Content-Length: 36\r\n"
    assert exchange(shared, submit(shared, length, version="1.0"))[0] == 202
    assert exchange(shared, submit(shared, f"Host: a\r\n{length}Connection: close\r\n"))[0] == 202
    assert exchange(shared, submit(shared, length))[0] == 400


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("path", ["/submit", "/nowhere"])
def test_a_client_that_sends_its_whole_body_first_can_read_the_refusal(shared: System, framing: str, path: str) -> None:
    size, connection = 24 << 20, socket.create_connection(("127.0.0.1", int(shared.url.rpartition(":")[2])), timeout=20)
    kind = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
    with connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {shared.key}\r\n{kind}\r\n\r\n".encode()
        )
        body = b"x" * size if framing == "length" else b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(1 if framing == "length" else size >> 16):
            connection.sendall(body)
        answer = connection.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 413 " if path == "/submit" else b"HTTP/1.1 404 ")
    assert b"application/problem+json" in answer


def test_the_connection_of_an_idle_refused_client_is_closed(shared: System) -> None:
    with socket.create_connection(("127.0.0.1", int(shared.url.rpartition(":")[2])), timeout=20) as connection:
        connection.sendall(submit(shared, "Host: a\r\nContent-Length: 99999999\r\n"))
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 413 ")
        eventually(lambda: is_reset(connection), 10, "the server has closed the connection")


# --- one caller must not slow down the others

HOSTILE = {
    "unknown fields": b'{"task_type": "video", "payload": {"source": "file:/a", '
    + b", ".join(b'"k%d": 0' % n for n in range(150_000))
    + b"}}",
    "empty outputs": b'{"task_type": "video", "payload": {"source": "file:/a", "outputs": ['
    + b", ".join([b"{}"] * 130_000)
    + b"]}}",
    "nested values": b'{"task_type": "echo", "payload": {"a": ['
    + b",".join([b'{"a":{"b":[[],1]}}'] * 150_000)
    + b'], "\\u0061": 1}}',
    "attachments": b'{"task_type": "email", "payload": {"to": ["a@example.org"], "subject": "a", "text": "b",'
    + b' "attachments": ['
    + b", ".join(
        b'{"source": "upload:018f6b2e-4a57-7c31-9d2e-%012d", "filename": "%s"}' % (n, b"a" * 190) for n in range(100)
    )
    + b"]}}",
    "wrong addresses": orjson.dumps(
        [{"task_type": "email", "payload": {"to": ["< <" * 160] * 6, "subject": "a", "text": "b"}}] * 500
    ),
    "unknown fields of many tasks": orjson.dumps(
        [{"task_type": "video", "payload": {"source": "file:/a", **{f"k{n}": 0 for n in range(100)}}}] * 100
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_does_not_delay_other_callers(shared: System, name: str) -> None:
    answers: list[httpx.Response] = []
    with httpx.Client(
        base_url=shared.url,
        headers={"Authorization": f"Bearer {shared.key}", "Content-Type": "application/json"},
        timeout=60,
    ) as other:
        other.get("/healthz")
        sender = threading.Thread(
            target=lambda: answers.append(shared.client.post("/submit", content=HOSTILE[name], timeout=60))
        )
        began, waits = time.monotonic(), []
        sender.start()
        while sender.is_alive():
            asked = time.monotonic()
            assert other.get("/healthz").status_code == 200
            waits.append(time.monotonic() - asked)
            time.sleep(0.005)
    assert answers[0].status_code == 422, answers[0].text[:300]
    assert len(answers[0].json()["errors"]) <= 100
    assert sorted(waits)[len(waits) // 2] < 0.1, f"{max(waits):.3f} s at most, {time.monotonic() - began:.3f} s in all"
