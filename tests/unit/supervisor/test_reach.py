"""A worker that alone cannot reach PostgreSQL is replaced, and an outage ends none."""

import os
from dataclasses import replace

import pytest

from dtqs.config import SupervisorSection
from dtqs.scoreboard import ChildState, SlotRecord
from dtqs.supervisor.child import LEASE_ENDED, Child
from dtqs.supervisor.reach import Reach

SECTION = SupervisorSection(beat_timeout_seconds=60)
RECORD = SlotRecord(os.getpid(), 0.0, 0.0, ChildState.READY, True, None, None, heartbeat=100.0, held_until=130.0)


def killed_at(others: dict[int, float], record: SlotRecord = RECORD, until: int = 1000) -> int | None:
    """Return the second at which the child is killed. `others`: from each second, how far the other heartbeat lags."""
    child, reach, lag = Child(record.pid, 0.0, (), SECTION), Reach(30.0), 0.0
    for now in range(100, until):
        lag = others.get(now, lag)
        heartbeat = now if lag == 0.0 else lag
        reach.note((record.heartbeat, heartbeat), now)
        cause = child.overdue(replace(record, beat=float(now)), now, float("-inf"), reach.since)
        if cause:
            assert cause == LEASE_ENDED
            return now
    return None


def test_a_worker_that_alone_has_no_heartbeat_is_killed_a_timeout_after_its_lease() -> None:
    assert killed_at({}) == 191


def test_a_worker_that_holds_an_outcome_is_killed_as_well() -> None:
    assert killed_at({}, replace(RECORD, task_id="01929f3a-0000-7000-8000-000000000001")) == 191


def test_no_worker_is_killed_while_postgresql_is_away_for_all() -> None:
    assert killed_at({100: 100.0}) is None


def test_after_an_outage_each_worker_has_the_whole_time_to_connect() -> None:
    assert killed_at({100: 100.0, 500: 0.0}) == 561


@pytest.mark.parametrize("damage", [float("nan"), float("inf"), 1e300])
def test_a_damaged_heartbeat_shows_nothing(damage: float) -> None:
    assert killed_at({100: damage}) is None
    assert killed_at({}, replace(RECORD, held_until=damage)) is None


@pytest.mark.parametrize("change", [{"held_until": 0.0}, {"state": ChildState.WAITING}, {"state": ChildState.DRAINING}])
def test_only_a_ready_child_with_a_lease_is_judged(change: dict[str, float]) -> None:
    assert killed_at({}, replace(RECORD, **change)) is None  # type: ignore[arg-type]
