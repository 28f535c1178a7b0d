"""Rate limits that all workers share: turns, bursts, the spread of those that come too early, and turns of several limits at once."""

import threading
from collections.abc import Sequence

import pytest

from dtqs.turn import Turn
from tests.fix_store import World


def wait(world: World, key: str, per_second: float, burst: int) -> float:
    """Take one turn; 0, or the seconds after which to ask again."""
    return world.store.rates.take([Turn(key, per_second, burst)]).get(key, 0)


def test_a_burst_is_taken_at_once_and_the_rest_is_spread_a_turn_apart(world: World) -> None:
    waits = [wait(world, "example.org", 0.1, 2) for _ in range(5)]
    assert waits[:2] == [0, 0]
    assert waits[2:] == [pytest.approx(10, abs=1), pytest.approx(20, abs=1), pytest.approx(30, abs=1)]


def test_limits_of_other_keys_are_other_limits(world: World) -> None:
    assert [wait(world, key, 0.1, 1) for key in ("a", "b", "a")] == [0, 0, pytest.approx(10, abs=1)]


def test_a_turn_comes_back_with_time_and_no_more_than_a_burst_is_saved(world: World) -> None:
    assert wait(world, "a", 0.1, 2) == 0
    world.rows("UPDATE rates SET free_at = free_at - interval '1 day', promised_at = promised_at - interval '1 day' RETURNING 1")
    assert [wait(world, "a", 0.1, 2) > 0 for _ in range(3)] == [False, False, True]


def test_of_many_at_once_only_a_burst_gets_its_turn(world: World) -> None:
    waits = at_once([[Turn("a", 0.01, 3)]] * 8, world)
    assert len(waits) == 8
    assert waits.count({}) == 3


def test_turns_of_several_limits_are_taken_all_or_none(world: World) -> None:
    turns = [Turn("b", 0.1, 1), Turn("a", 0.1, 2), Turn("c", 0.1, 2)]
    assert world.store.rates.take(turns) == {}
    for late in (10, 20, 30):
        assert world.store.rates.take(turns) == {"b": pytest.approx(late, abs=1)}, "a and c have room, and it is left to others"
    assert [wait(world, key, 0.1, 2) for key in ("a", "c")] == [0, 0]
    assert world.store.rates.take(turns) == {"a": pytest.approx(10, abs=1), "b": pytest.approx(40, abs=1), "c": pytest.approx(10, abs=1)}


def test_those_that_ask_for_the_same_limits_in_another_order_do_not_wait_for_one_another_for_ever(world: World) -> None:
    keys = [f"key-{number}" for number in range(20)]
    turns = [Turn(key, 0.01, 12) for key in keys]
    waits = at_once([turns, turns[::-1]] * 8, world)
    assert len(waits) == 16
    assert waits.count({}) == 12
    assert all(set(late) == set(keys) for late in waits if late)


def test_unused_limits_are_pruned_and_used_ones_are_not(world: World) -> None:
    for key in ("old", "new"):
        wait(world, key, 1, 1)
    world.rows("UPDATE rates SET free_at = free_at - interval '2 hours', promised_at = promised_at - interval '2 hours' WHERE key = 'old' RETURNING 1")
    world.store.housekeeping.prune_small(24)
    assert world.rows("SELECT key FROM rates") == [("new",)]


def at_once(askers: Sequence[Sequence[Turn]], world: World) -> list[dict[str, float]]:
    """Let each take its turns in a thread of its own, all at the same time, and return what they were told."""
    waits: list[dict[str, float]] = []
    together = threading.Barrier(len(askers))

    def ask(turns: Sequence[Turn]) -> None:
        together.wait(10)
        waits.append(world.store.rates.take(turns))

    threads = [threading.Thread(target=ask, args=(turns,)) for turns in askers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return waits
