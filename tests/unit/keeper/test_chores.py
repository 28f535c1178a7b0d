"""Loops of chores: what one loop waits for delays no other, and a loop that hangs ends the beats of the process."""

import logging
import threading
from collections.abc import Iterator

import pytest

from dtqs.deadline import Deadline, Stop
from dtqs.errors import StoreUnavailable
from dtqs.keeper import chores
from dtqs.keeper.chores import Chore, ChoreThread, CommonBeat
from tests.support.helpers import eventually


@pytest.fixture
def stop() -> Iterator[Stop]:
    stop = Stop()
    yield stop
    stop.set()


class Turns:
    """Counts the turns of a chore, and lets them wait while `held`."""

    def __init__(self) -> None:
        self.count, self._free = 0, threading.Event()
        self._free.set()

    def turn(self) -> bool:
        self.count += 1
        self._free.wait(10)
        return False

    def hold(self) -> None:
        self._free.clear()

    def free(self) -> None:
        self._free.set()


def test_a_chore_that_waits_delays_no_chore_of_another_thread(stop: Stop) -> None:
    slow, quick = Turns(), Turns()
    slow.hold()
    threads = [ChoreThread(name, [Chore(name, 0.001, turns.turn)], stop) for name, turns in (("s", slow), ("q", quick))]
    for thread in threads:
        thread.start()
    eventually(lambda: slow.count == 1 and quick.count > 5, 5)
    stop.set()
    slow.free()
    for thread in threads:
        thread.join(Deadline(5))
    assert slow.count == 1


def test_a_busy_chore_has_its_next_turn_soon(stop: Stop) -> None:
    busy, idle = Turns(), Turns()
    chores = [Chore("busy", 60, busy.turn, lambda: True), Chore("idle", 60, idle.turn)]
    ChoreThread("both", chores, stop).start()
    eventually(lambda: busy.count > 3, 5)
    assert idle.count == 1


def test_a_thread_that_was_never_started_is_joined_at_once(stop: Stop) -> None:
    ChoreThread("idle", [], stop).join(Deadline(5))


def test_the_process_beats_once_each_of_its_loops_has_beaten() -> None:
    beats: list[str] = []
    common = CommonBeat(("main", "reclaim"), lambda: beats.append("beat"))
    for _ in range(3):
        common.beat("main")
    assert beats == []
    common.beat("reclaim")
    assert beats == ["beat"]
    common.beat("reclaim")
    assert beats == ["beat"]
    common.beat("main")
    assert beats == ["beat"] * 2


def test_a_chore_that_fails_each_time_comes_less_often_and_has_one_traceback(caplog: pytest.LogCaptureFixture) -> None:
    broken = True

    def turn() -> bool:
        if broken:
            raise ValueError("a setting is damaged")
        return False

    chore = Chore("old queues", 300, turn)
    assert [chores._turn(chore) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert [record.getMessage() for record in caplog.records] == ["chore failed"]
    broken = False
    with caplog.at_level(logging.INFO):
        assert chores._turn(chore) == 300
    assert [record.getMessage() for record in caplog.records][1:] == ["chore goes on"]
    broken = True
    assert chores._turn(chore) == 1


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ValueError("damaged")])
@pytest.mark.parametrize(("every", "pauses"), [(0.5, {0.5}), (2.5, {1.0, 2.0, 2.5})])
def test_a_chore_that_fails_never_comes_less_often_than_one_that_succeeds(
    error: Exception, every: float, pauses: set[float]
) -> None:
    def turn() -> bool:
        raise error

    chore = Chore("reclaim", every, turn)
    assert {chores._turn(chore) for _ in range(8)} <= pauses
