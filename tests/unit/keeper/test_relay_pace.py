"""The pace of the relay, and a failure after a step of the clock."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtqs.confirmed import ConfirmedHints
from dtqs.errors import StoreUnavailable
from dtqs.keeper import relay as relay_module
from dtqs.keeper.relay import Relay
from dtqs.store.workers import ProcessTotals
from dtqs.task import Due
from dtqs.uuid7 import uuid7


def test_a_relay_is_busy_for_a_second_after_it_has_found_due_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    now, rows = 1000.0, list[Due]()
    monkeypatch.setattr(relay_module, "time", SimpleNamespace(monotonic=lambda: now))
    backlog = SimpleNamespace(now=lambda: ("mark", now), relay=lambda mark, limit: (rows, None, len(rows)))
    link = SimpleNamespace(can_publish=True, publish_hints=lambda dues, deadline: [])
    relay = Relay(cast(Any, SimpleNamespace(backlog=backlog)), cast(Any, link), ProcessTotals(), 1.0)
    relay.turn()
    assert not relay.is_busy
    rows = [Due("id", "sms", False, 5, "later")]
    relay.turn()
    assert relay.is_busy
    now += 1.1
    assert not relay.is_busy


def test_only_hints_that_the_broker_has_count_as_published() -> None:
    dues = [Due(uuid7(), "sms", False, 5, "later") for _ in range(3)]
    noted = ConfirmedHints(10_000)
    noted.add(dues)
    answers = [[], noted.take()]
    backlog = SimpleNamespace(
        now=lambda: ("mark", 5000.0), relay=lambda mark, limit: (dues, None, 3), far_out=lambda confirmed: None
    )
    link = SimpleNamespace(can_publish=True, publish_hints=lambda dues, deadline: answers.pop(0))
    totals = ProcessTotals()
    relay = Relay(cast(Any, SimpleNamespace(backlog=backlog)), cast(Any, link), totals, 1.0)
    relay.turn()
    assert totals.published == 0
    relay.turn()
    assert totals.published == 3


def test_a_failure_after_a_step_of_the_clock_keeps_no_task_from_its_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    now, shown, published = 1000.0, 5000.0, list[Due]()
    monkeypatch.setattr(relay_module, "time", SimpleNamespace(monotonic=lambda: now))

    def due_again(until: float, after: str, limit: int, last: str) -> tuple[str | None, int, bool]:
        raise StoreUnavailable("statement timeout")

    def publish(dues: list[Due], deadline: object) -> list[Due]:
        published.extend(dues)
        return []

    due = Due("id", "sms", False, 5, "later")
    backlog = SimpleNamespace(
        now=lambda: ("mark", shown), relay=lambda mark, limit: ([due], None, 1), due_again=due_again
    )
    link = SimpleNamespace(can_publish=True, publish_hints=publish)
    relay = Relay(cast(Any, SimpleNamespace(backlog=backlog)), cast(Any, link), ProcessTotals(), 1.0)
    relay.turn()
    now, shown = now + 1, shown - 3600
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            relay.turn()
    assert published == [due] * 3
