"""Waits at an API that is silent or away, and many of them from one client."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import httpx
import pytest

from dtqs.client import ApiRefusal, ApiUnavailable, Client, WaitOver, calls, events
from dtqs.client.client import AGAIN_SECONDS
from dtqs.client.events import follow, wait_limit

TASK = "01929f3a-0000-7000-8000-000000000001"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Take connections, and answer nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as one:
        one.settimeout(20)
        yield one


def client_of(listener: socket.socket, again_seconds: float = 0) -> Client:
    return Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "key", again_seconds=again_seconds)


@pytest.fixture
def away() -> Iterator[socket.socket]:
    """Hold a port that refuses connections."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one


WAITS: dict[str, Callable[[Client], object]] = {
    "wait": lambda client: client.wait(TASK, wait_seconds=1),
    "submit_stream": lambda client: list(client.submit_stream("echo", {}, wait_seconds=1)),
    "submit_and_wait": lambda client: client.submit_and_wait("echo", {}, wait_seconds=1),
    "logs": lambda client: list(client.logs(TASK, following=True, wait_seconds=1)),
}


@pytest.mark.parametrize("again_seconds", [AGAIN_SECONDS, 60])
@pytest.mark.parametrize("api", ["listener", "away"])
@pytest.mark.parametrize("call", WAITS)
def test_a_wait_ends_in_time_at_an_api_that_is_silent_or_away(
    request: pytest.FixtureRequest, api: str, again_seconds: float, call: str
) -> None:
    began = time.monotonic()
    with client_of(request.getfixturevalue(api), again_seconds) as client, pytest.raises(WaitOver):
        WAITS[call](client)
    assert time.monotonic() - began < 5, "a try may take 17 s, retries 60 s, and a silence in a stream 60 s"


def test_a_wait_of_an_hour_ends_with_the_retries_at_an_api_that_is_away(away: socket.socket) -> None:
    with client_of(away, 0.1) as client, pytest.raises(ApiUnavailable, match="cannot be reached"):
        client.submit_and_wait("echo", {})


def test_a_wait_looks_once_more_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "RETRY_SECONDS", 30.0)
    tries: list[float] = []

    @contextmanager
    def opener(_: str, head_seconds: float) -> Iterator[httpx.Response]:
        tries.append(head_seconds)
        raise httpx.ConnectError("refused")
        yield

    reasons: list[str] = []
    with pytest.raises(WaitOver):
        list(follow(opener, wait_limit(4.0), reasons.append))
    assert reasons == ["refused"], "a pause of 10 s would have ended the wait at once"
    assert len(tries) == 2
    assert tries[0] > 0.5 >= tries[1]


def test_more_threads_than_httpx_has_connections_may_wait_at_the_same_time(listener: socket.socket) -> None:
    with client_of(listener) as client:

        def wait() -> None:
            with suppress(WaitOver):
                client.wait(TASK, wait_seconds=5)

        threads = [Thread(target=wait) for _ in range(110)]
        for thread in threads:
            thread.start()
        taken = [listener.accept()[0] for _ in threads]
        for thread in threads:
            thread.join(60)
        for one in taken:
            one.close()
    assert len(taken) == 110


def answer_of(status: int, retry_after: str = "", body: str = "{}") -> bytes:
    asked = f"Retry-After: {retry_after}\r\n" if retry_after else ""
    return f"HTTP/1.1 {status} X\r\n{asked}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@contextmanager
def answering(listener: socket.socket, *answers: tuple[float, bytes]) -> Iterator[list[float]]:
    """Answer one connection after another, each after its seconds; an empty answer closes. Yield their times."""
    times: list[float] = []

    def serve() -> None:
        for seconds, answer in answers:
            with suppress(OSError), listener.accept()[0] as line:
                times.append(time.monotonic())
                line.recv(65536)
                time.sleep(seconds)
                line.sendall(answer)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    yield times
    thread.join(30)


RECEIPT = f'{{"task_id": "{TASK}", "status": "pending", "links": {{}}}}'


@pytest.mark.parametrize("fault", [b"", answer_of(503)], ids=["no reply", "503"])
def test_a_submit_is_repeated_after_a_slow_first_try(listener: socket.socket, fault: bytes) -> None:
    with answering(listener, (0.6, fault), (0, answer_of(202, body=RECEIPT))), client_of(listener, 0.3) as client:
        assert client.submit("echo").task_id == TASK


def test_a_silent_api_has_had_its_time(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "WRITE_SECONDS", 0.5)
    monkeypatch.setattr(calls, "PROBE_SECONDS", 0.1)
    began = time.monotonic()
    with client_of(listener, 0.3) as client, pytest.raises(ApiUnavailable, match="does not answer"):
        client.submit("echo")
    assert time.monotonic() - began < 1.0, "a second try would take as long again"


CALLS: dict[str, Callable[[Client], object]] = {
    "submit": lambda client: client.submit("echo"),
    "submit_and_wait": lambda client: client.submit_and_wait("echo", wait_seconds=20),
    "stream": lambda client: list(client.stream(TASK, wait_seconds=20)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_comes_when_the_api_has_asked_for_it(listener: socket.socket, status: int, call: str) -> None:
    with (
        answering(listener, (0, answer_of(status, "3")), (0, answer_of(403))) as times,
        client_of(listener, 4) as client,
        pytest.raises(ApiRefusal),
    ):
        CALLS[call](client)
    assert times[1] - times[0] >= 2.9, "the usual pause is a second at most"


def test_a_retry_that_may_not_come_in_time_is_left_to_the_caller(listener: socket.socket) -> None:
    with (
        answering(listener, (0, answer_of(429, "90"))) as times,
        client_of(listener, 4) as client,
        pytest.raises(ApiUnavailable, match="; try again after 90 s") as found,
    ):
        client.submit("echo")
    assert (found.value.retry_after_seconds, found.value.exit_status) == (90, 75)
    assert len(times) == 1


def test_a_stream_without_a_key_says_so(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DTQS_API_KEY", raising=False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with (
        answering(listener, (0, answer_of(401))),
        Client(url) as client,
        pytest.raises(ApiRefusal, match="no key was sent to"),
    ):
        client.wait(TASK)


def test_a_refusal_is_not_its_own_cause(listener: socket.socket) -> None:
    """Programs that walk along the causes of an error, such as reporters, would never end."""
    with (
        answering(listener, (0, answer_of(404))),
        client_of(listener, 0) as client,
        pytest.raises(ApiRefusal) as found,
    ):
        client.task("01900000-0000-7000-8000-000000000001")
    assert found.value.__cause__ is None
