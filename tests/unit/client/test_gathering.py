"""Gathered submits against an API that is a function: groups, refusals, and what a thread or a fork leaves behind."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dtqs.client import ApiRefusal, ApiUnavailable, gathering
from dtqs.client.gathered import Gathered
from dtqs.client.gathering import Gathering
from tests.support.helpers import eventually

LIMIT_SECONDS = 20.0
FORK = """
import os
from dtqs.client.gathering import Gathering

one = Gathering(lambda content, key: {}, 20)
one.submit({})
child = os.fork()
if child == 0:
    one._changed.acquire()  # as if another thread had held it
    one.close()
    try:
        one.submit({})
    except RuntimeError as error:
        os._exit(7 if "fork" in str(error) else 8)
    os._exit(9)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


class Api:
    """Refuses arrays with `refusal`, and takes single tasks. `bodies` are the requests."""

    def __init__(self, refusal: ApiRefusal) -> None:
        self.refusal = refusal
        self.bodies: list[Any] = []
        self.members: list[Gathered] = []

    def __call__(self, content: bytes, key: str) -> Any:
        body = json.loads(content)
        self.bodies.append(body)
        if isinstance(body, list):
            raise self.refusal
        return body

    def send(self, count: int) -> list[Any]:
        """Send a group. Return the answers of its members."""
        until = time.monotonic() + LIMIT_SECONDS
        self.members = [Gathered(str(number).encode(), until, None) for number in range(count)]
        Gathering(self, LIMIT_SECONDS)._send(self.members)
        return [member.answer for member in self.members]


def named(*indices: int) -> ApiRefusal:
    return ApiRefusal("x", 422, {"errors": [{"field": f"[{index}].payload", "message": "x"} for index in indices]})


def test_a_refusal_that_names_a_task_beyond_the_array_is_found_by_halves() -> None:
    api = Api(named(9))
    assert api.send(4) == [0, 1, 2, 3]
    assert len(api.bodies) == 7


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_the_key_or_the_url_is_not_tried_task_by_task(status: int) -> None:
    api = Api(ApiRefusal("x", status))
    assert api.send(100) == [api.refusal] * 100
    assert len(api.bodies) == 1
    errors = []
    for member in api.members[:2]:
        with pytest.raises(ApiRefusal) as caught:
            member.receipt()
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert [error.status for error in errors] == [status] * 2


def test_a_submit_that_nobody_waits_for_is_not_sent_again() -> None:
    class Slow(Api):
        def __call__(self, content: bytes, key: str) -> Any:
            self.members[1].left = True
            self.members[2].until = 0.0
            return super().__call__(content, key)

    api = Slow(named(0))
    first, left, late, last = api.send(4)
    assert (first, left, last) == (0, None, 3)
    assert isinstance(late, ApiUnavailable)
    assert api.bodies == [[0, 1, 2, 3], 3, 0]


def test_a_submit_that_is_not_woken_in_time_returns_its_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Gathering(lambda content, key: json.loads(content), 0.5)
    monkeypatch.setattr(one, "_wake", lambda _: None)
    assert one.submit({"n": 1}) == {"n": 1}
    one.close()


def test_a_thread_that_cannot_start_fails_one_submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    one = Gathering(lambda content, key: json.loads(content), LIMIT_SECONDS)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="new thread"):
                one.submit({"n": 1})
    assert one.submit({"n": 2}) == {"n": 2}
    one.close()


def test_a_client_says_that_it_was_used_before_a_fork() -> None:
    assert subprocess.run([sys.executable, "-c", FORK], check=False, timeout=60).returncode == 7


def test_a_thread_that_gives_up_does_not_leave_others_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "SENDERS", 1)
    gates, sent = [threading.Event(), threading.Event()], list[Any]()

    def post(text: bytes, _: str) -> Any:
        sent.append(json.loads(text))
        assert gates[len(sent) - 1].wait(20)
        return sent[-1]

    one = Gathering(post, 20)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(one.submit, {"n": 0})]
        eventually(lambda: len(sent) == 1, 10, "the first is sent")
        for n, limit_seconds in ((1, 20.0), (2, 1.0), (3, 20.0)):
            monkeypatch.setattr(one, "_limit_seconds", limit_seconds)
            calls.append(pool.submit(one.submit, {"n": n}))
            eventually(lambda count=n: len(one._waiting) == count, 10, "it waits")  # type: ignore[misc]
        gates[0].set()
        eventually(lambda: len(sent) == 2, 10, "the others are sent together")
        with pytest.raises(ApiUnavailable, match="not answered"):
            calls[2].result(timeout=10)
        gates[1].set()
        assert [calls[n].result(timeout=10) for n in (0, 1, 3)] == [{"n": 0}, {"n": 1}, {"n": 3}]
    one.close()


def test_a_task_of_asyncio_waits_no_longer_than_its_limit() -> None:
    gate = threading.Event()
    one = Gathering(lambda text, _: gate.wait(30) and json.loads(text), 0.3)

    async def run() -> list[Any]:
        calls = [*(one.submit_async({"n": n}) for n in range(5)), one.submit_async({"n": 9}, "k")]
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)

    try:
        found = asyncio.run(run())
    finally:
        gate.set()
    assert [str(error) for error in found] == ["a submit was not answered within 0.3 s; submit less at once"] * 6
    one.close()


class Forbidden(ThreadPoolExecutor):
    def submit(self, *_: object, **__: object) -> Any:
        raise AssertionError("the threads of the loop are for others")


def test_a_task_of_asyncio_takes_no_thread_of_its_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "WAITING_TASKS", 3)
    gate = threading.Event()
    one = Gathering(lambda text, _: gate.wait(30) and json.loads(text), LIMIT_SECONDS)

    async def run() -> list[Any]:
        asyncio.get_running_loop().set_default_executor(Forbidden(1))
        calls = [asyncio.ensure_future(one.submit_async({"n": n})) for n in range(20)]
        calls += [asyncio.ensure_future(one.submit_async({"n": 20}, "k"))]
        cancelled = asyncio.ensure_future(one.submit_async({"n": 21}))
        while len(one._waiting) < 3:
            await asyncio.sleep(0)
        cancelled.cancel()
        gate.set()
        return await asyncio.wait_for(asyncio.gather(*calls), 10)

    assert asyncio.run(run()) == [{"n": n} for n in range(21)]
    one.close()


def test_tasks_of_asyncio_that_wait_for_room_hear_of_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "WAITING_TASKS", 0)
    one = Gathering(lambda text, _: json.loads(text), LIMIT_SECONDS)

    async def run() -> None:
        call = asyncio.ensure_future(one.submit_async({"n": 1}))
        await asyncio.sleep(0)
        one.close()
        with pytest.raises(RuntimeError, match="closed"):
            await asyncio.wait_for(call, 10)

    asyncio.run(run())


def test_a_client_keeps_no_loop_that_has_ended() -> None:
    one = Gathering(lambda text, _: json.loads(text), LIMIT_SECONDS)
    for n in range(5):
        assert asyncio.run(one.submit_async({"n": n})) == {"n": n}
    assert len(one._loops) == 1
    one.close()


def test_the_end_waits_for_submits_with_a_key_of_their_own() -> None:
    begun, sent = threading.Event(), list[Any]()

    def post(text: bytes, _: str) -> Any:
        begun.set()
        eventually(lambda: one._closed, 10, "the client ends")
        sent.append(json.loads(text))
        return sent[-1]

    one = Gathering(post, LIMIT_SECONDS)

    async def run() -> Any:
        call = asyncio.ensure_future(one.submit_async({"n": 1}, "k"))
        while not begun.is_set():
            await asyncio.sleep(0)
        one.close()
        assert sent == [{"n": 1}]
        return await call

    assert asyncio.run(run()) == {"n": 1}


def test_a_slow_request_keeps_no_submit_that_has_its_answer() -> None:
    gate = threading.Event()

    def post(text: bytes, _: str) -> Any:
        value = json.loads(text)
        assert value != {"n": 0} or gate.wait(20)
        return value

    one = Gathering(post, LIMIT_SECONDS)

    async def run() -> None:
        slow = asyncio.ensure_future(one.submit_async({"n": 0}))
        while len(one._threads) < 1 or one._waiting:
            await asyncio.sleep(0)
        for n in range(1, 20):
            assert await one.submit_async({"n": n}) == {"n": n}
        (waits,) = one._loops.values()
        assert [json.loads(member.text) for member in waits._members] == [{"n": 0}]
        gate.set()
        assert await slow == {"n": 0}

    asyncio.run(run())
    one.close()


def test_threads_that_are_being_woken_share_the_next_request() -> None:
    sent: list[Any] = []

    def post(content: bytes, key: str) -> Any:
        sent.append(json.loads(content))
        return sent[-1]

    one = Gathering(post, LIMIT_SECONDS)
    one._chains, one._chains_until = 1, time.monotonic() + LIMIT_SECONDS
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(one.submit, {"n": n}) for n in range(3)]
        eventually(lambda: len(one._waiting) == 3, LIMIT_SECONDS)
        assert sent == []
        one._wake(None)
        assert [call.result(timeout=LIMIT_SECONDS) for call in calls] == [{"n": n} for n in range(3)]
    assert [len(body) for body in sent] == [3]
    assert one._chains == 0, "an answered group counts only while its threads wake one another"
    one.close()


def test_a_group_does_not_wait_longer_for_threads_that_are_never_woken() -> None:
    one = Gathering(lambda content, key: json.loads(content), LIMIT_SECONDS)
    one._chains, one._chains_until = 1, time.monotonic() + 0.05
    began = time.monotonic()
    assert one.submit({"n": 1}) == {"n": 1}
    assert time.monotonic() - began < LIMIT_SECONDS / 2
    one.close()


def test_the_end_waits_no_longer_than_the_limit_for_submits_with_a_key_of_their_own() -> None:
    """Such an end may happen in the loop itself, where nothing could interrupt it."""
    begun = list[Any]()

    def post(text: bytes, _: str) -> Any:
        begun.append(json.loads(text))
        threading.Event().wait(1.0)
        return begun[-1]

    one = Gathering(post, 0.5)

    async def run() -> list[Any]:
        calls = [asyncio.ensure_future(one.submit_async({"n": n}, f"k{n}")) for n in range(100)]
        while len(begun) < 16:
            await asyncio.sleep(0)
        began = time.monotonic()
        one.close()
        assert time.monotonic() - began < 0.9, "100 submits of 1 s in 16 threads take 7 s"
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)

    found = asyncio.run(run())
    assert {str(error) for error in found} == {"a submit was not answered within 0.5 s; submit less at once"}
    assert len(begun) == 16


def test_a_submit_with_a_key_of_its_own_that_waits_at_the_end_hears_of_it() -> None:
    gate = threading.Event()
    one = Gathering(lambda text, _: gate.wait(30) and json.loads(text), LIMIT_SECONDS)

    async def run() -> list[Any]:
        calls = [asyncio.ensure_future(one.submit_async({"n": n}, f"k{n}")) for n in range(20)]
        while one._alone is None or len(one._alone._sent) < 20:
            await asyncio.sleep(0)
        one._limit_seconds = 0.1
        one.close()
        gate.set()
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)

    found = asyncio.run(run())
    assert found[:16] == [{"n": n} for n in range(16)]
    assert [type(error) for error in found[16:]] == [ApiUnavailable] * 4
