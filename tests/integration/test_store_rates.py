"""Rate limits that all workers share: turns, bursts, and the spread of those that come too early."""

import threading

import pytest

from tests.fix_store import World


def test_a_burst_is_taken_at_once_and_the_rest_is_spread_a_turn_apart(world: World) -> None:
    waits = [world.store.rates.take("example.org", 0.1, 2) for _ in range(5)]
    assert waits[:2] == [0, 0]
    assert waits[2:] == [pytest.approx(10, abs=1), pytest.approx(20, abs=1), pytest.approx(30, abs=1)]


def test_limits_of_other_keys_are_other_limits(world: World) -> None:
    assert [world.store.rates.take(key, 0.1, 1) for key in ("a", "b", "a")] == [0, 0, pytest.approx(10, abs=1)]


def test_a_turn_comes_back_with_time_and_no_more_than_a_burst_is_saved(world: World) -> None:
    assert world.store.rates.take("a", 0.1, 2) == 0
    world.rows("UPDATE rates SET free_at = free_at - interval '1 day', promised_at = promised_at - interval '1 day' RETURNING 1")
    assert [world.store.rates.take("a", 0.1, 2) > 0 for _ in range(3)] == [False, False, True]


def test_of_many_at_once_only_a_burst_gets_its_turn(world: World) -> None:
    waits: list[float] = []
    threads = [threading.Thread(target=lambda: waits.append(world.store.rates.take("a", 0.01, 3))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(waits) == 8
    assert waits.count(0) == 3


def test_unused_limits_are_pruned_and_used_ones_are_not(world: World) -> None:
    for key in ("old", "new"):
        world.store.rates.take(key, 1, 1)
    world.rows("UPDATE rates SET free_at = free_at - interval '2 hours', promised_at = promised_at - interval '2 hours' WHERE key = 'old' RETURNING 1")
    world.store.housekeeping.prune_small(24)
    assert world.rows("SELECT key FROM rates") == [("new",)]
