"""Rate limits shared by all workers: turns, bursts, spread waits, and turns of several limits at once."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from dtqs.store.rates import TurnAnswer
from dtqs.turn import Turn
from tests.support.fix_store import OpenStore, World


def wait(world: World, key: str, per_second: float, burst: int) -> float:
    """Take one turn; return 0, or the seconds until the next try."""
    return world.store.rates.take([Turn(key, per_second, burst)]).refused.get(key, 0)


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
    assert world.store.rates.take(turns) == TurnAnswer()
    for late in (10, 20, 30):
        assert world.store.rates.take(turns).refused == {"b": pytest.approx(late, abs=1)}, (
            "the turns of a and c are left to others"
        )
    assert [wait(world, key, 0.1, 2) for key in ("a", "c")] == [0, 0]
    assert world.store.rates.take(turns).refused == {
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
        assert world.store.rates.take([Turn(key, 1, 9) for key in "abc"]) == TurnAnswer()
    held.rates.take([Turn("b", 1, 9)])
    asker = world.meet(lambda store: store.rates.take([Turn(key, 1, 9) for key in asked])).waits()
    with psycopg.connect(world.section.dsn.get_secret_value()) as beside:
        assert [key for key in "abc" if not lockable(beside, key)] == ["a", "b"]
    held.commit()
    assert asker.result() == TurnAnswer()


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


def pass_seconds(world: World, seconds: float) -> None:
    """Let time pass: everything in the table of rate limits becomes that much older."""
    world.rows(
        "UPDATE rates SET free_at = free_at - %(s)s * interval '1 s', promised_at = promised_at - %(s)s * interval "
        "'1 s' RETURNING 1".replace("%(s)s", str(seconds))
    )


def test_a_turn_that_begins_soon_is_taken_ahead_and_the_next_one_is_not(world: World) -> None:
    answers = [world.store.rates.take([Turn("a", 4, 1)]) for _ in range(3)]
    assert [answer.seconds for answer in answers] == [0, pytest.approx(0.25, abs=0.1), 0]
    assert [answer.refused for answer in answers] == [{}, {}, {"a": pytest.approx(0.5, abs=0.1)}]


def test_turns_of_several_limits_begin_together(world: World) -> None:
    slow, quick = Turn("slow", 2.5, 1), Turn("quick", 10, 1)
    assert world.store.rates.take([slow]) == TurnAnswer()
    assert world.store.rates.take([slow, quick]).seconds == pytest.approx(0.4, abs=0.1)
    refused = world.store.rates.take([quick]).refused
    assert refused == {"quick": pytest.approx(0.5, abs=0.1)}, "its turn is the one that begins in 0.4 s"


def test_an_idle_limit_forgets_the_line_of_cancelled_tasks(world: World) -> None:
    for _ in range(1000):
        wait(world, "a", 1, 1)
    pass_seconds(world, 10)
    assert wait(world, "a", 1, 1) == 0
    assert wait(world, "a", 1, 1) == pytest.approx(1, abs=0.5)


def test_a_line_whose_tasks_come_is_kept(world: World) -> None:
    for _ in range(20):
        wait(world, "a", 1, 1)
    for _ in range(5):
        pass_seconds(world, 1.5)
        assert wait(world, "a", 1, 1) == 0
    assert wait(world, "a", 1, 1) == pytest.approx(20 - 7.5, abs=1)


def test_beyond_two_minutes_the_tries_of_a_line_lie_closer(world: World) -> None:
    waits = [wait(world, "a", 1 / 60, 1) for _ in range(40)]
    assert waits[1:4] == [pytest.approx(60, abs=1), pytest.approx(120, abs=1), pytest.approx(180, abs=1)]
    assert waits[-1] == pytest.approx(180 + 36 * 0.1, abs=1)


def test_a_raised_limit_is_in_force_at_once(world: World) -> None:
    for _ in range(10):
        wait(world, "a", 1 / 60, 1)
    world.store.rates.take([Turn("a", 100, 1)])
    assert wait(world, "a", 2, 1) < 2


@pytest.mark.parametrize("seconds", [1.0, 60.0, 86400.0])
def test_a_step_back_of_the_clock_delays_no_task_by_its_length(world: World, seconds: float) -> None:
    for _ in range(5):
        wait(world, "a", 2, 1)
    pass_seconds(world, -seconds)
    assert [wait(world, "a", 2, 1) < 5 for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(("per_second", "burst"), [(10, 1), (3, 1), (1, 1), (1 / 60, 1), (30, 1), (10, 5)])
def test_a_standing_backlog_gets_nearly_all_turns_and_never_more(world: World, per_second: float, burst: int) -> None:
    """Play a relay and 8 workers with the real statements. The pauses pass in the table, the test's own time really."""
    count, work_seconds, relay_seconds = 60, 0.05, 0.1
    ready, later, begins, asked, passed = count, list[float](), list[float](), 0, 0.0
    start = time.monotonic()
    while len(begins) < count:
        spent = 0.0
        while ready and spent < relay_seconds:
            ready, asked = ready - 1, asked + 1
            now = time.monotonic() - start + passed
            answer = world.store.rates.take([Turn("a", per_second, burst)])
            if answer.refused:
                later.append(now + answer.refused["a"])
            else:
                begins.append(now + answer.seconds)
            spent += (0.005 if answer.refused else work_seconds + answer.seconds) / 8
        now = time.monotonic() - start + passed
        pause = relay_seconds if ready or not later else max(relay_seconds, min(later) - now)
        pass_seconds(world, pause)
        passed += pause
        ready += sum(at <= now + pause for at in later)
        later = [at for at in later if at > now + pause]
    free_at = 0.0
    for at in sorted(begins):
        assert at > free_at - (burst - 1) / per_second - 0.3, "the limit holds, within the run of a statement"
        free_at = max(free_at, at) + 1 / per_second
    assert max(begins) < 1.2 * (count - burst) / per_second + 1
    assert asked < 20 * count


def at_once(askers: Sequence[Sequence[Turn]], world: World) -> list[dict[str, float]]:
    """Let each take its turns in a thread of its own, all at once, and return their answers."""
    waits: list[dict[str, float]] = []
    together = threading.Barrier(len(askers))

    def ask(turns: Sequence[Turn]) -> None:
        together.wait(10)
        waits.append(world.store.rates.take(turns).refused)

    threads = [threading.Thread(target=ask, args=(turns,)) for turns in askers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return waits
