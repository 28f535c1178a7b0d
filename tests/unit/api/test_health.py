"""/readyz: many callers cost one look at the database."""

from typing import Any, cast
from unittest.mock import Mock

import gevent
import pytest
from gevent.event import Event

from dtqs.api import health
from dtqs.api.fitness import Fitness
from dtqs.api.health import SharedProbe
from dtqs.deadline import Deadline
from dtqs.errors import StoreUnavailable


class Slow:
    """A database that answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.answers, self.is_away = 0, Event(), False

    def state(self, _: Deadline) -> tuple[str | None, bool]:
        self.asked += 1
        assert self.answers.wait(20)
        if self.is_away:
            raise StoreUnavailable("away")
        return None, False


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def probe(slow: Slow) -> SharedProbe:
    return SharedProbe(cast(Any, slow), Fitness(lambda: None))


def test_callers_at_the_same_time_share_one_look(slow: Slow, probe: SharedProbe) -> None:
    callers = [gevent.spawn(probe.state) for _ in range(50)]
    gevent.spawn(slow.answers.set)
    assert [caller.get(timeout=5) for caller in callers] == ["connected"] * 50
    assert slow.asked == 1


def test_an_answer_is_used_again_for_a_moment(slow: Slow, probe: SharedProbe, monkeypatch: pytest.MonkeyPatch) -> None:
    slow.answers.set()
    now = 1000.0
    monkeypatch.setattr(health, "time", Mock(monotonic=lambda: now))
    assert probe.state() == "connected"
    slow.is_away = True
    now += 0.4
    assert probe.state() == "connected"
    now += 0.2
    assert (probe.state(), slow.asked) == ("away", 2)


def test_a_database_that_does_not_answer_is_away_and_is_asked_again(
    slow: Slow, probe: SharedProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    assert probe.state() == "away"
    slow.answers.set()
    assert (probe.state(), slow.asked) == ("connected", 2)


def test_a_caller_that_leaves_ends_nobody_elses_question(slow: Slow, probe: SharedProbe) -> None:
    first, second = gevent.spawn(probe.state), gevent.spawn(probe.state)
    gevent.sleep(0)
    first.kill()
    slow.answers.set()
    assert second.get(timeout=5) == "connected"
    assert slow.asked == 1
