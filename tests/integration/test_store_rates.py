"""Rate limits shared by all workers: turns, bursts, spread waits, and turns of several limits at once."""

import threading
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from dtqs.turn import Turn
from tests.support.fix_store import OpenStore, World


def wait(world: World, key: str, per_second: float, burst: int) -> float:
    """Take one turn; return 0, or the seconds until the next try."""
    return world.store.rates.take([Turn(key, per_second, burst)]).get(key, 0)


def test_a_burst_is_taken_at_once_and_the_rest_is_spread_a_turn_apart(world: World) -> None:
    waits = [wait(world, "example.org", 0.1, 2) for _ in range(5)]
    assert waits[:2] == [0, 0]
    assert waits[2:] == [pytest.approx(10, abs=1), pytest.approx(20, abs=1), pytest.approx(30, abs=1)]


def test_each_key_has_its_own_limit(world: World) -> None:
    assert [wait(world, key, 0.1, 1) for key in ("a", "b", "a")] == [0, 0, pytest.approx(10, abs=1)]


def test_a_turn_returns_with_time_and_at_most_a_burst_is_saved(world: World) -> None:
    assert wait(world, "a", 0.1, 2) == 0
    world.rows(
        "UPDATE rates SET free_at = free_at - interval '1 day', promised_at = promised_at - interval '1 day' "
        "RETURNING 1"
    )
    assert [wait(world, "a", 0.1, 2) > 0 for _ in range(3)] == [False, False, True]


def test_among_many_at_once_only_a_burst_gets_its_turn(world: World) -> None:
    waits = at_once([[Turn("a", 0.01, 3)]] * 8, world)
    assert len(waits) == 8
    assert waits.count({}) == 3


def test_turns_of_several_limits_are_taken_all_or_none(world: World) -> None:
    turns = [Turn("b", 0.1, 1), Turn("a", 0.1, 2), Turn("c", 0.1, 2)]
    assert world.store.rates.take(turns) == {}
    for late in (10, 20, 30):
        assert world.store.rates.take(turns) == {"b": pytest.approx(late, abs=1)}, (
            "the turns of a and c are left to others"
        )
    assert [wait(world, key, 0.1, 2) for key in ("a", "c")] == [0, 0]
    assert world.store.rates.take(turns) == {
        "a": pytest.approx(10, abs=1),
        "b": pytest.approx(40, abs=1),
        "c": pytest.approx(10, abs=1),
    }


def test_among_many_that_ask_for_several_limits_only_a_burst_gets_its_turns(world: World) -> None:
    keys = [f"key-{number}" for number in range(20)]
    turns = [Turn(key, 0.01, 12) for key in keys]
    waits = at_once([turns, turns[::-1]] * 8, world)
    assert len(waits) == 16
    assert waits.count({}) == 12
    assert all(set(late) == set(keys) for late in waits if late)


@pytest.mark.parametrize("asked", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")], ids="".join)
@pytest.mark.parametrize("used_before", [True, False])
def test_limits_are_locked_in_the_order_of_their_keys(
    world: World, held: OpenStore, asked: Sequence[str], used_before: bool
) -> None:
    # otherwise two callers with different orders would each hold the lock that the other waits for
    if used_before:
        assert world.store.rates.take([Turn(key, 1, 9) for key in "abc"]) == {}
    held.rates.take([Turn("b", 1, 9)])
    asker = world.meet(lambda store: store.rates.take([Turn(key, 1, 9) for key in asked])).waits()
    with psycopg.connect(world.section.dsn.get_secret_value()) as beside:
        assert [key for key in "abc" if not lockable(beside, key)] == ["a", "b"]
    held.commit()
    assert asker.result() == {}


def lockable(connection: psycopg.Connection[Any], key: str) -> bool:
    """Tell whether the row of a limit is unlocked, even if it is not committed yet."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL lock_timeout = '200ms'")
            connection.execute(
                "INSERT INTO rates (key, free_at, promised_at) VALUES (%s, now(), now()) ON CONFLICT (key) DO UPDATE "
                "SET free_at = now()",
                (key,),
            )
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def test_unused_limits_are_pruned_and_used_ones_are_not(world: World) -> None:
    for key in ("old", "new"):
        wait(world, key, 1, 1)
    world.rows(
        "UPDATE rates SET free_at = free_at - interval '2 hours', promised_at = promised_at - interval '2 hours' "
        "WHERE key = 'old' RETURNING 1"
    )
    world.store.housekeeping.prune_small(24, 100)
    assert world.rows("SELECT key FROM rates") == [("new",)]


def at_once(askers: Sequence[Sequence[Turn]], world: World) -> list[dict[str, float]]:
    """Let each take its turns in a thread of its own, all at once, and return their answers."""
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
