"""The threads of gathered submits wake one another, also past one that has given up."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dtqs.client import ApiUnavailable, gathering
from dtqs.client.gathering import Gathering
from tests.support.helpers import eventually


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
