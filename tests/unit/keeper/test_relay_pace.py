"""The pace of the relay: it looks again soon after it has found due rows."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtqs.keeper import relay as relay_module
from dtqs.keeper.relay import Relay
from dtqs.store.workers import ProcessTotals
from dtqs.task import Due


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
