"""A keeper uses its own clock and unchanged heartbeats to find dead workers; a node vouches for its own workers."""

import dataclasses

import pytest

from dtqs.config import LeaseSection, SupervisorSection
from dtqs.keeper.judge import Judge, vouches
from dtqs.scoreboard import ChildState, SlotRecord
from dtqs.store.workers import Heartbeat

LEASE, LIMITS = LeaseSection(), SupervisorSection()
RECORD = SlotRecord(7, 1000.0, 0.0, ChildState.READY, deaths_settled=True, worker_id="w", task_id=None)


def watched(judge: Judge, heartbeat: str, start: float, seconds: float) -> float:
    """Look at one worker with that heartbeat every 2.5 s; return the time of the last look."""
    at = start
    while at < start + seconds:
        at += 2.5
        judge.note({"w": Heartbeat(heartbeat)}, at)
    return at


def test_a_worker_whose_heartbeat_is_unchanged_for_a_lease_is_dead() -> None:
    judge = Judge(30.0, 2.5)
    at = watched(judge, "a", 0.0, 30.0)
    assert judge.dead(at) == {}
    at = watched(judge, "a", at, 2.5)
    assert judge.dead(at) == {"w": "a"}


def test_any_change_is_a_sign_of_life_even_an_earlier_time() -> None:
    judge = Judge(30.0, 2.5)
    at = watched(judge, "12:00", 0.0, 25.0)
    at = watched(judge, "11:00", at, 25.0)
    assert judge.dead(at) == {}


def test_a_keeper_that_was_suspended_or_could_not_look_starts_again() -> None:
    judge = Judge(30.0, 2.5)
    at = watched(judge, "a", 0.0, 28.0)
    at = watched(judge, "a", at + 60.0, 25.0)
    assert judge.dead(at) == {}
    judge.reset()
    at = watched(judge, "a", at, 25.0)
    assert judge.dead(at) == {}


def test_a_worker_without_a_row_is_not_judged() -> None:
    judge = Judge(30.0, 2.5)
    at = watched(judge, "a", 0.0, 40.0)
    judge.note({}, at + 1)
    assert judge.dead(at + 1) == {}
    assert judge.silent_seconds("w", at + 1) is None


def test_a_heartbeat_written_by_the_keeper_prolongs_a_life_and_is_no_sign_of_it() -> None:
    judge = Judge(30.0, 2.5)
    at = watched(judge, "a", 0.0, 29.0)
    judge.note_vouched({"w": "b"}, at)
    at = watched(judge, "b", at, 25.0)
    assert judge.dead(at) == {}
    assert judge.silent_seconds("w", at) == pytest.approx(52.5)
    assert judge.heartbeat("w") == "b"


@pytest.mark.parametrize(
    ("changes", "silent", "now", "expected"),
    [
        ({}, 1.0, 1001.0, False),
        ({}, 11.0, 1001.0, True),  # signs of life on the scoreboard, but no connection to PostgreSQL
        ({}, 61.0, 1001.0, False),
        ({"kill_at": 2000.0}, 61.0, 1001.0, True),  # until the end of its attempt's time limit
        ({}, 1.0, 1006.0, True),  # a library holds its interpreter
        ({"kill_at": 1050.0}, 45.0, 1045.0, True),
        ({"kill_at": 1050.0}, 45.0, 1056.0, False),  # its supervisor should have killed it
        ({"kill_at": 2000.0}, 45.0, 1186.0, False),
        ({"pid": 0}, 11.0, 1001.0, False),
    ],
)
def test_a_node_vouches_for_a_worker_until_its_supervisor_would_kill_it(
    changes: dict[str, float], silent: float, now: float, expected: bool
) -> None:
    record = dataclasses.replace(RECORD, **changes)  # type: ignore[arg-type]
    assert vouches(record, silent, now, LEASE, LIMITS) is expected
