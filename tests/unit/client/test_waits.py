"""Waits at an API that is silent or away, and many of them from one client."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import httpx
import pytest

from dtqs.client import ApiUnavailable, Client, WaitOver, events
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
