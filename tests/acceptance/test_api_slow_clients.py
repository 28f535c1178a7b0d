"""Clients that stall in the middle of a request or an answer: the server closes their connections, and no others."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from dtqs.api.http.byte_room import MOST_BYTES, room_bytes
from dtqs.resources import resource
from tests.acceptance.hasty_api import CLIENT_SECONDS
from tests.acceptance.hasty_worker import HEAD_SECONDS
from tests.support.fix_api import open_store
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

BIG_BYTES = 32 << 20
"""More than the kernel buffers for a connection that nobody reads from."""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, new_dsn: Callable[[], str], vhosts: Any) -> Iterator[System]:
    url = vhosts.make()
    one = System(tmp_path_factory.mktemp("hasty") / "system", new_dsn(), url, {})
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "--",
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        str(resource("conf/gunicorn.conf.py")),
    ]
    command += ["--worker-class", "tests.acceptance.hasty_worker.HastyWorker"]
    environment = os.environ | {"DTQS_CONFIG": str(one.config_path), "PYTHONPATH": os.getcwd()}
    with (
        (one.folder / "api.log").open("ab") as log,
        subprocess.Popen(
            [*command, "tests.acceptance.hasty_api:application"],
            env=environment,
            cwd=one.folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            eventually(lambda: ready(one), 30, "the API is ready")
            yield one
        finally:
            process.terminate()
            process.wait(15)
            one.stop()
            vhosts.delete(url)


def ready(system: System) -> bool:
    with suppress(httpx.TransportError):
        return system.client.get("/readyz").status_code == 200
    return False


def connected(system: System) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(system.url.rpartition(":")[2])), timeout=20)


def opened(system: System, request: str) -> socket.socket:
    """Send the beginning of a request and nothing more."""
    connection = connected(system)
    connection.sendall(f"{request}Authorization: Bearer {system.key}\r\nHost: localhost\r\n\r\n".encode())
    return connection


def given_up(system: System) -> int:
    """Return how many clients the server has given up so far."""
    return system.log("api").count("reads its answer too slowly")


def rest(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    received = b""
    with connection:
        while piece := connection.recv(1 << 20):
            received += piece
    return received


@pytest.mark.parametrize("begin", ["GET /healthz HTTP/1.1\r\nHost: a\r\n", "GET /heal"])
def test_a_head_that_does_not_end_is_answered_with_408(hasty: System, begin: str) -> None:
    connection = connected(hasty)
    connection.sendall(begin.encode())
    answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    assert f"did not end within {HEAD_SECONDS:g} s".encode() in answer


@pytest.mark.parametrize("path", ["/submit", "/files"])
@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_answered_with_408(hasty: System, path: str, framing: str) -> None:
    answer = rest(opened(hasty, f"POST {path} HTTP/1.1\r\n{framing}\r\n"))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    assert b"Connection: close" in answer


@pytest.mark.parametrize("path", ["/submit", "/files"])
@pytest.mark.parametrize("framing", ["Content-Length: 10000", "Transfer-Encoding: chunked"])
def test_a_body_that_comes_byte_by_byte_has_a_limit_on_its_whole_time(hasty: System, path: str, framing: str) -> None:
    connection = opened(hasty, f"POST {path} HTTP/1.1\r\n{framing}\r\n")
    byte = b"1\r\n[\r\n" if "chunked" in framing else b"["
    give_up = time.monotonic() + 60 * CLIENT_SECONDS
    connection.settimeout(CLIENT_SECONDS / 5)
    answer = b""
    while not answer and time.monotonic() < give_up:
        with suppress(OSError):
            connection.sendall(byte)
        with suppress(TimeoutError):
            answer = connection.recv(100)
    connection.close()
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_an_answer_that_its_client_does_not_read_is_given_up(hasty: System) -> None:
    uploaded = hasty.client.post("/files", content=b"x" * BIG_BYTES).headers["location"]
    connection = opened(hasty, f"GET {uploaded} HTTP/1.1\r\n")
    before = given_up(hasty)
    eventually(lambda: given_up(hasty) > before, 10 * CLIENT_SECONDS + 10, "the server gives up the client")
    assert len(rest(connection)) < BIG_BYTES


def test_a_client_that_reads_steadily_gets_its_whole_answer(hasty: System) -> None:
    uploaded = hasty.client.post("/files", content=b"x" * BIG_BYTES).headers["location"]
    before, read, began = given_up(hasty), 0, time.monotonic()
    with opened(hasty, f"GET {uploaded} HTTP/1.1\r\n") as connection:
        while read < BIG_BYTES:
            piece = connection.recv(1 << 19)
            assert piece, f"cut off after {read} bytes"
            read += len(piece)
            time.sleep(len(piece) / BIG_BYTES * 6 * CLIENT_SECONDS)
    assert time.monotonic() - began > 5 * CLIENT_SECONDS
    assert given_up(hasty) == before


def test_a_stream_waits_longer_for_its_client(hasty: System) -> None:
    ids = [hasty.submit({"text": "x" * 900_000}, delay_seconds=600) for _ in range(16)]
    for task_id in ids:
        hasty.client.post(f"/tasks/{task_id}/cancel")
    connection = opened(hasty, f"GET /sse?{'&'.join(f'task_id={task_id}' for task_id in ids)} HTTP/1.1\r\n")
    before = given_up(hasty)
    with pytest.raises(AssertionError):
        eventually(lambda: given_up(hasty) > before, CLIENT_SECONDS)
    assert rest(connection).count(b"event: cancelled\n") == len(ids)


# --- replies are sent whole, and at once


def answered(system: System, request: str, until: bytes) -> bytes:
    """Send a whole request on a connection that stays open; return the answer once it contains `until`."""
    read = b""
    with opened(system, request) as connection:
        while until not in read:
            part = connection.recv(1 << 16)
            assert part, read
            read += part
    return read


def test_a_reply_without_a_body_leaves_at_once(hasty: System) -> None:
    assert answered(hasty, "HEAD /tasks HTTP/1.1\r\n", b"\r\n\r\n").startswith(b"HTTP/1.1 405")
    assert answered(hasty, "OPTIONS /tasks HTTP/1.1\r\n", b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_reply_leaves_in_one_piece(hasty: System) -> None:
    with opened(hasty, "GET /healthz HTTP/1.1\r\n") as connection:
        head, _, body = connection.recv(1 << 16).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body, "the body came with the head"


def test_the_head_of_a_stream_comes_with_its_first_event(hasty: System) -> None:
    task_id = hasty.client.post("/submit", json={"task_type": "echo", "payload": {}}).json()["task_id"]
    with opened(hasty, f"GET /sse?task_id={task_id} HTTP/1.1\r\n") as connection:
        first = connection.recv(1 << 16)
    assert first.startswith(b"HTTP/1.1 200")
    assert b"event: status" in first


def test_pipelined_requests_are_all_answered(hasty: System) -> None:
    one = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {hasty.key}\r\n\r\n"
    read = b""
    with connected(hasty) as connection:
        connection.sendall(3 * one.encode())
        while read.count(b"HTTP/1.1 200") < 3:
            part = connection.recv(1 << 16)
            assert part, read
            read += part


def test_a_client_that_expects_100_continue_gets_it(hasty: System) -> None:
    body = b'{"task_type": "echo", "payload": {}}'
    head = (
        "POST /submit HTTP/1.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n"
    )
    with opened(hasty, head) as connection:
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert b"202" in connection.recv(1 << 16)[:20]


@pytest.mark.parametrize(
    ("path", "refusing", "status"),
    [
        ("/submit", "Content-Length: 9999999999\r\n", 413),
        ("/files", "Content-Length: 99999999999999\r\n", 413),
        ("/submit", "Content-Length: 36\r\nContent-Type: text/plain\r\n", 415),
        ("/nowhere", "Content-Length: 36\r\n", 404),
        ("/tasks", "Content-Length: 36\r\n", 405),
    ],
)
def test_a_client_that_expects_100_continue_is_refused_at_once(
    hasty: System, path: str, refusing: str, status: int
) -> None:
    with opened(hasty, f"POST {path} HTTP/1.1\r\nExpect: 100-continue\r\n{refusing}") as connection:
        assert connection.recv(1 << 16).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("path", ["/submit", "/files"])
@pytest.mark.parametrize("key", ["", "Authorization: Bearer none\r\n"])
def test_a_client_without_a_key_that_expects_100_continue_is_refused_at_once(
    hasty: System, path: str, key: str
) -> None:
    with connected(hasty) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\n{key}Content-Length: 36\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 401 ")


def test_an_empty_file_is_downloaded_with_its_length(hasty: System) -> None:
    uri = hasty.client.post("/files", content=b"").json()["uri"].removeprefix("upload:")
    assert b"content-length: 0" in answered(hasty, f"GET /files/{uri} HTTP/1.1\r\n", b"\r\n\r\n").lower()


@pytest.mark.parametrize("begin", [b"", b"GET /readyz HT"])
def test_more_silent_clients_than_connections_shut_nobody_out(system: Factory, begin: bytes) -> None:
    one = system({"api": {"max_connections": 20, "max_streams": 10}}, supervisor=False)
    silent = [connected(one) for _ in range(60)]
    for each in silent:
        with suppress(OSError):  # the server has closed it
            each.sendall(begin)
    for _ in range(30):
        assert httpx.get(f"{one.url}/healthz", timeout=5).status_code == 200
    for each in silent:
        each.close()


@pytest.mark.parametrize("path", ["/session", "/submit", "/files"])
def test_more_bodies_that_do_not_come_than_connections_shut_nobody_out(system: Factory, path: str) -> None:
    one = system({"api": {"max_connections": 20, "max_streams": 10}}, supervisor=False)
    key = f"Authorization: Bearer {one.key}" if path != "/session" else "Sec-Fetch-Site: same-origin"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{key}\r\nContent-Length: 100\r\n\r\n"
    missing = []
    for _ in range(60):
        missing.append(connected(one))
        missing[-1].sendall(head.encode())
    for _ in range(30):
        assert httpx.get(f"{one.url}/healthz", timeout=5).status_code == 200
    for each in missing:
        each.close()


def test_more_streams_than_connections_shut_nobody_out(system: Factory) -> None:
    one = system({"api": {"max_connections": 20}}, supervisor=False)
    task_id = one.submit()
    streams = [opened(one, f"GET /sse?task_id={task_id} HTTP/1.1\r\n") for _ in range(40)]
    for _ in range(10):
        assert httpx.get(f"{one.url}/healthz", timeout=5).status_code == 200
    for each in streams:
        each.close()


def test_more_clients_that_do_not_read_than_connections_shut_nobody_out(system: Factory) -> None:
    one = system({"api": {"max_connections": 20, "max_streams": 10}}, supervisor=False)
    requests = 300 * b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    deaf = []
    for _ in range(60):
        deaf.append(socket.socket())
        deaf[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        deaf[-1].settimeout(20)
        deaf[-1].connect(("127.0.0.1", int(one.url.rpartition(":")[2])))
        with suppress(OSError):  # the server has closed it
            deaf[-1].sendall(requests)
    for _ in range(30):
        assert httpx.get(f"{one.url}/healthz", timeout=10).status_code == 200
    for each in deaf:
        each.close()


def test_large_bodies_of_one_key_have_a_common_bound_and_another_key_is_served(system: Factory) -> None:
    one = system(supervisor=False)
    longest = one.config.api.max_body_bytes
    body = b'{"task_type": "echo", "payload": {"x": "%s"}}' % (b"x" * (longest - 100))
    at_once = MOST_BYTES // 2 // longest
    head = f"POST /submit HTTP/1.1\r\nContent-Length: {longest}\r\nExpect: 100-continue\r\n"

    def begun() -> list[socket.socket]:
        """Announce bodies that take half of the room."""
        clients = [opened(one, head) for _ in range(at_once)]
        for each in clients:
            assert each.recv(100).startswith(b"HTTP/1.1 100 "), "it has room"
        return clients

    def answer() -> httpx.Response:
        return one.client.post("/submit", content=body)

    announced, slow = begun(), begun()
    assert answer().status_code == 202, "an announced length takes no room"
    for each in slow:
        each.sendall(body[:-1])
    eventually(lambda: answer().status_code == 503, 20, "the bodies have come, but for their last bytes")
    refused = answer()
    assert refused.status_code == 503
    assert "Retry-After" in refused.headers
    assert "too many large bodies are on their way" in refused.json()["detail"]
    assert one.client.post("/submit", json={"task_type": "echo", "payload": {}}).status_code == 202, (
        "small bodies need no room"
    )
    with open_store(one) as store:
        secret = store.api_keys.create("another", ("submit",))[1]
    other = httpx.post(f"{one.url}/submit", content=body, headers={"Authorization": f"Bearer {secret}"}, timeout=30)
    assert other.status_code == 202
    slow.pop().close()
    eventually(lambda: answer().status_code == 202, 20, "a client that leaves gives its room back")
    for each in announced + slow:
        each.close()


def test_large_answers_that_one_key_does_not_read_have_a_common_bound(system: Factory) -> None:
    one = system({"api": {"max_body_bytes": BIG_BYTES}}, supervisor=False)
    task_id = one.submit({"text": "x" * (BIG_BYTES - 1000)}, delay_seconds=600)
    slow = [opened(one, f"GET /tasks/{task_id} HTTP/1.1\r\n") for _ in range(room_bytes(BIG_BYTES) // 2 // BIG_BYTES)]
    for each in slow:
        assert each.recv(12) == b"HTTP/1.1 200"
    refused = one.client.get(f"/tasks/{task_id}")
    assert refused.status_code == 503
    assert "Retry-After" in refused.headers
    assert "large answers" in refused.json()["detail"]
    assert one.client.post("/submit", json={"task_type": "echo", "payload": {}}).status_code == 202
    slow.pop().close()
    eventually(
        lambda: one.client.get(f"/tasks/{task_id}").status_code == 200, 20, "a client that leaves frees its room"
    )
    for each in slow:
        each.close()
