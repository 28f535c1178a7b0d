"""Waits at an API that is silent or away, and many of them from one client."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import httpx
import pytest

from dtqs.client import Client, WaitOver, events
from dtqs.client.events import follow, wait_limit
from dtqs.errors import DtqsError

TASK = "01929f3a-0000-7000-8000-000000000001"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Take connections, and answer nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as one:
        one.settimeout(20)
        yield one


def client_of(listener: socket.socket) -> Client:
    return Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "key", again_seconds=0)


def test_a_wait_ends_in_time_at_an_api_that_is_silent(listener: socket.socket) -> None:
    began = time.monotonic()
    with client_of(listener) as client:
        with pytest.raises(WaitOver):
            client.wait(TASK, wait_seconds=1)
        with pytest.raises(DtqsError):
            list(client.submit_stream("echo", {}, wait_seconds=1))
    assert time.monotonic() - began < 15, "a read of the head may take 17 s, and a silence in a stream 60 s"


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
