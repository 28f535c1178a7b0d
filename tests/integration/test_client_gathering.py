"""Submits that share requests: each caller gets its own answer, and a bad task fails alone."""

import asyncio
import json
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from dtqs.client import ApiRefusal, ApiUnavailable, Client, gathering
from dtqs.errors import ConfigError
from tests.integration.test_client import Answer, Server, accepted
from tests.support.helpers import eventually

BAD = 7
"""The API refuses tasks whose `n` is a multiple of it."""


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, "k", again_seconds=2, gather=True) as one:
        yield one


class Gate:
    """Holds the first requests back until all submits wait, so that the next request gathers them."""

    def __init__(self, answer: Callable[[Any], Answer]) -> None:
        self.open, self.held = threading.Event(), 0
        self._answer = answer

    def __call__(self, body: Any) -> Answer:
        if not self.open.is_set():
            self.held += 1
            assert self.open.wait(20)
        return self._answer(body)


def judged(body: Any) -> Answer:
    """Refuse an array with a bad task, and name the first bad one only."""
    tasks = body if isinstance(body, list) else [body]
    for index, task in enumerate(tasks):
        if task["payload"]["n"] % BAD == 0:
            where = f"[{index}]." if isinstance(body, list) else ""
            return 422, {"title": "Unprocessable", "errors": [{"field": f"{where}payload.n", "message": "is bad"}]}
    return accepted(body)


def outcome(client: Client, n: int) -> str:
    try:
        return client.submit("echo", {"n": n}).task_id
    except ApiRefusal as error:
        return str(error.problem["errors"][0]["field"])


def waiting(client: Client) -> int:
    assert client._gathering
    return len(client._gathering._waiting)


def occupy(client: Client, gate: Gate, pool: ThreadPoolExecutor) -> list[Future[str]]:
    """Give each sender a request that is held."""
    calls = []
    for number in range(gathering.SENDERS):
        calls.append(pool.submit(outcome, client, 1000 * BAD + number + 1))
        eventually(lambda: gate.held == len(calls), 20, "the request is held")
    return calls


def submit_all(client: Client, gate: Gate, count: int) -> list[str]:
    """Submit from `count` threads at the same time."""
    with ThreadPoolExecutor(count + gathering.SENDERS) as pool:
        occupy(client, gate, pool)
        calls = [pool.submit(outcome, client, n) for n in range(1, count + 1)]
        eventually(lambda: waiting(client) == count, 20, "all wait")
        gate.open.set()
        return [call.result(timeout=30) for call in calls]


def test_submits_of_several_threads_share_a_request_and_bad_ones_fail_alone(server: Server, client: Client) -> None:
    gate = Gate(judged)
    server.answers = {"POST /submit": gate}
    found = submit_all(client, gate, 30)
    assert found == [str(n) if n % BAD else "payload.n" for n in range(1, 31)]
    bodies = [body for _, body, _ in server.seen]
    assert len(bodies[2]) == 30
    assert len(bodies) <= 2 + 1 + 4 * 2  # the held ones, the array, and for each bad task itself and the others
    keys = [headers["idempotency-key"] for _, _, headers in server.seen]
    assert len(set(keys)) == len(keys)


def test_a_refusal_without_names_is_found_by_halves(server: Server, client: Client) -> None:
    def too_long(body: Any) -> Answer:
        return (413, {"title": "Too Large"}) if isinstance(body, list) and len(body) > 4 else accepted(body)

    gate = Gate(too_long)
    server.answers = {"POST /submit": gate}
    assert submit_all(client, gate, 20) == [str(n) for n in range(1, 21)]


def test_a_lost_reply_repeats_the_array_under_its_key(server: Server, client: Client) -> None:
    lost: list[Any] = []

    def lossy(body: Any) -> Answer:
        if isinstance(body, list) and not lost:  # the held requests are single, and may be answered after the array
            lost.append(body)
            return 503, {"title": "Away"}
        return accepted(body)

    gate = Gate(lossy)
    server.answers = {"POST /submit": gate}
    submit_all(client, gate, 10)
    keys = [headers["idempotency-key"] for _, _, headers in server.seen]
    assert (len(keys), keys[2]) == (4, keys[3])


def test_a_submit_with_its_own_key_is_its_own_request(server: Server, client: Client) -> None:
    server.answers = {"POST /submit": accepted}
    client.submit("echo", {"n": 1}, idempotency_key="order-17")
    ((_, body, headers),) = server.seen
    assert (body["payload"], headers["idempotency-key"]) == ({"n": 1}, "order-17")


def test_tasks_of_asyncio_share_requests(server: Server, client: Client) -> None:
    gate = Gate(judged)
    server.answers = {"POST /submit": gate}

    async def run() -> list[Any]:
        calls = [asyncio.ensure_future(client.submit_async("echo", {"n": n})) for n in range(1, 15)]
        cancelled = asyncio.ensure_future(client.submit_async("echo", {"n": 99}))
        await asyncio.sleep(0)  # each of them is queued
        cancelled.cancel()
        await asyncio.wait([cancelled])
        gate.open.set()
        keyed = await client.submit_async("echo", {"n": 15}, idempotency_key="k")
        return [*await asyncio.gather(*calls, return_exceptions=True), keyed]

    with ThreadPoolExecutor(gathering.SENDERS) as pool:
        occupy(client, gate, pool)
        found = asyncio.run(run())
    assert [getattr(one, "task_id", type(one)) for one in found] == [
        str(n) if n % BAD else ApiRefusal for n in range(1, 16)
    ]
    bodies = [body for _, body, _ in server.seen]
    assert {"task_type": "echo", "payload": {"n": 99}} not in [task for body in bodies for task in body]
    assert max(len(body) for body in bodies if isinstance(body, list)) == 14


def test_submits_wait_for_room_and_no_longer_than_their_limit(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "WAITING_TASKS", 5)
    gate = Gate(accepted)
    server.answers = {"POST /submit": gate}
    one = client._gathering
    assert one
    with ThreadPoolExecutor(25) as pool:
        occupy(client, gate, pool)
        calls = [pool.submit(outcome, client, n) for n in range(1, 21) if n % BAD]
        eventually(lambda: waiting(client) == 5, 10, "the queue is full")
        monkeypatch.setattr(one, "_limit_seconds", 0.1)
        with pytest.raises(ApiUnavailable, match=r"not answered within 0\.1 s"):
            client.submit("echo", {"n": 50})
        gate.open.set()
        assert [call.result(timeout=30) for call in calls] == [str(n) for n in range(1, 21) if n % BAD]
    assert '"n": 50}' not in json.dumps([body for _, body, _ in server.seen])


def test_a_client_closes_after_its_last_submits(server: Server) -> None:
    gate = Gate(accepted)
    server.answers = {"POST /submit": gate}
    client = Client(server.url, "k", gather=True)
    with ThreadPoolExecutor(12) as pool:
        occupy(client, gate, pool)
        calls = [pool.submit(outcome, client, n) for n in range(1, 9)]
        one = client._gathering
        assert one
        eventually(lambda: waiting(client) == 8, 10, "all wait")
        closing = pool.submit(client.close)
        eventually(lambda: one._closed, 10)
        gate.open.set()
        closing.result(timeout=20)
        assert [call.result(timeout=20) for call in calls] == [str(n) for n in range(1, 9)]
    with pytest.raises(RuntimeError, match="closed"):
        client.submit("echo", {"n": 1})
    assert not any(thread.is_alive() for thread in one._threads)


def test_a_client_that_does_not_gather_says_so(server: Server) -> None:
    with Client(server.url, "k") as client, pytest.raises(ConfigError, match="gather=True"):
        asyncio.run(client.submit_async("echo"))


def test_a_copy_in_a_forked_process_refuses_at_once(server: Server, client: Client) -> None:
    server.answers = {"POST /submit": accepted}
    client.submit("echo", {"n": 1})
    assert client._gathering
    reading, writing = os.pipe()
    with client._gathering._leaving:  # a thread of the parent may hold it at the fork
        pid = os.fork()
        if pid == 0:
            try:
                client.submit("echo", {"n": 2})
            except RuntimeError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
    os.close(writing)
    try:
        assert select.select([reading], [], [], 10)[0], "the copy hangs"
        assert b"before a fork" in os.read(reading, 1000)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
