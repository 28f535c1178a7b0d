"""The periodic chores of an API process continue after a turn in which every part failed."""

from typing import Any, cast

import gevent
import pytest
from gevent.event import Event as Wake

from dtqs.api.fitness import Fitness
from dtqs.api.server import chores
from dtqs.api.server.chores import Chores
from dtqs.config import load
from dtqs.event_seal import EventSeal
from dtqs.store.workers import ProcessTotals


class Faulty:
    """Stand in for each part that the chores use; count the calls and fail each of them."""

    def __init__(self, enough: int) -> None:
        self.calls: dict[str, int] = {}
        self.reached, self._enough = Wake(), enough

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object) -> None:
            self.calls[name] = self.calls.get(name, 0) + 1
            if len(self.calls) == 5 and min(self.calls.values()) >= self._enough:
                self.reached.set()
            raise ValueError(name)

        return fail


def test_chores_continue_after_a_turn_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "_TURN_SECONDS", 0.01)
    lease = load(None, {"DTQS_LEASE_HEARTBEAT_SECONDS": "0.1"}).lease
    faulty = Faulty(2)
    part = cast(Any, faulty)
    one = Chores(part, part, part, part, ProcessTotals(), Fitness(part.ask), lease, 2.0, EventSeal())
    one.start()
    try:
        assert faulty.reached.wait(10), faulty.calls
        assert set(faulty.calls) == {"put_far_out", "expire", "ask", "count", "event_key"}
    finally:
        one.stop()
        gevent.sleep(0)
