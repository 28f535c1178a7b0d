"""Tasks that a claim leaves because their rows are locked: this worker publishes their hints until they are gone."""

from typing import Any
from unittest.mock import MagicMock

import pytest

from dtqs.store.driver.failures import StoreBlocked
from dtqs.task import Due
from dtqs.worker.claims import Claims
from dtqs.worker.hold import Hold


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("dtqs.worker.claims.time.monotonic", lambda: made.now)
    return made


def test_a_locked_task_is_published_until_it_has_left_the_backlog(clock: Clock) -> None:
    """The broker may be away at a publish, which then fails without an error."""
    store, link = MagicMock(), MagicMock()
    due = Due("t1", "echo", True, 5, "")
    store.leases.claim.side_effect = [StoreBlocked("statement timeout"), ([], [])]
    store.backlog.due.side_effect = lambda task_ids: [due] if clock.now < 110 else []
    claims = Claims("w", store, link, Hold())
    claims.claim(["t1"])
    published = list[float]()
    link.publish_hints.side_effect = lambda dues, _: published.append(clock.now)
    for now in (101.0, 102.0, 103.0, 105.0, 106.0, 113.0, 114.0, 130.0, 200.0):
        clock.now = now
        claims.publish_left()
    assert published == [102.0, 106.0]
    asked: list[Any] = [call.args[0] for call in store.backlog.due.call_args_list]
    assert asked == [["t1"]] * 3, "a task that has left the backlog is forgotten"
