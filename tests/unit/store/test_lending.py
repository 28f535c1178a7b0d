"""Places for connections: each borrower gets some, and a long line delays nobody else's."""

import time

import gevent
import pytest
from gevent.event import Event

from dtqs.store.driver.lending import BORROWER, IN_TURN, PROCESS, UNKNOWN, Lending, for_the_process

SECONDS = 10.0


class Borrowers:
    """Greenlets that hold a place until they may leave. `served` names their borrowers in the order of their places."""

    def __init__(self, places: int) -> None:
        self.lending = Lending(places)
        self.served: list[str] = []
        self._may_leave: list[Event] = []

    def come(self, borrower: str, count: int = 1) -> list[gevent.Greenlet]:
        greenlets = [gevent.spawn(self._hold, borrower) for _ in range(count)]
        gevent.idle()
        return greenlets

    def leave(self, count: int = 1) -> None:
        """Let those leave that have held their places longest."""
        for _ in range(count):
            self._may_leave.pop(0).set()
        gevent.idle()

    def _hold(self, borrower: str) -> None:
        if not self.lending.take(borrower):
            assert self.lending.wait(borrower, SECONDS)
        self.served.append(borrower)
        may_leave = Event()
        self._may_leave.append(may_leave)
        try:
            may_leave.wait(SECONDS)
        finally:
            self.lending.give_back(borrower)


@pytest.mark.parametrize(("places", "most"), [(1, 1), (2, 1), (3, 2), (4, 2), (8, 5)])
def test_a_key_leaves_places_to_the_others(places: int, most: int) -> None:
    here = Borrowers(places)
    here.come("a", 100)
    assert here.served == ["a"] * most
    assert here.lending.waiting == 100 - most


def test_keys_and_turns_together_leave_places_to_the_process_and_unknown_keys() -> None:
    here = Borrowers(8)
    for borrower in ("a", IN_TURN, "b"):
        here.come(borrower, 5)
    assert len(here.served) == 6
    here.come(UNKNOWN)
    here.come(PROCESS)
    assert here.served[6:] == [UNKNOWN, PROCESS]


def test_unknown_keys_leave_places_to_the_others() -> None:
    here = Borrowers(8)
    here.come(UNKNOWN, 100)
    here.come("a")
    here.come(PROCESS)
    assert here.served == [UNKNOWN] * 5 + ["a", PROCESS]


def test_the_lines_take_turns_and_the_process_goes_first() -> None:
    here = Borrowers(1)
    here.come("a", 4)
    here.come("b", 2)
    here.come(UNKNOWN)
    here.come(PROCESS, 2)
    for _ in range(8):
        here.leave()
    assert here.served == ["a", PROCESS, PROCESS, "a", "b", UNKNOWN, "a", "b", "a"]
    here.leave()
    assert (here.lending.waiting, here.lending.waits) == (0, 8)


def test_a_wait_ends_in_time_and_leaves_the_line() -> None:
    here = Borrowers(1)
    here.come("a")
    assert not here.lending.take("b")
    assert not here.lending.wait("b", 0.01)
    assert here.lending.waiting == 0
    here.leave()
    assert here.lending.take("b")


@pytest.mark.parametrize("gets_a_place_first", [False, True])
def test_a_greenlet_killed_in_its_line_takes_no_place_with_it(gets_a_place_first: bool) -> None:
    here = Borrowers(2)
    here.come(PROCESS, 2)
    killed = here.come("a", 2)
    if gets_a_place_first:
        for may_leave in here._may_leave:
            may_leave.set()
        while here.lending.waiting == 2:
            gevent.sleep(0)
    gevent.killall(killed, timeout=SECONDS)
    for may_leave in here._may_leave:
        may_leave.set()
    gevent.idle()
    assert here.lending.waiting == 0
    assert [here.lending.take(PROCESS) for _ in range(3)] == [True, True, False]


def test_a_greenlet_borrows_for_the_key_of_its_request_and_a_shared_call_for_the_process() -> None:
    seen: list[str] = []

    def request() -> None:
        BORROWER.set("a")
        for_the_process(lambda: seen.append(BORROWER.get()))()
        seen.append(BORROWER.get())
        gevent.spawn(lambda: seen.append(BORROWER.get())).join(SECONDS)

    gevent.spawn(request).join(SECONDS)
    assert seen == [PROCESS, "a", PROCESS]


def test_a_long_line_is_served_in_linear_time() -> None:
    """The first key of a dict costs more with each key that was removed before it."""
    lending = Lending(1)
    assert lending.take(PROCESS)
    waiting = [gevent.spawn(lending.wait, "a", 60.0) for _ in range(12_000)]
    gevent.idle()
    assert lending.waiting == 12_000
    lending.give_back(PROCESS)

    def seconds_for(count: int) -> float:
        began = time.thread_time()
        for _ in range(count):
            lending.give_back("a")
        return time.thread_time() - began

    first = min(seconds_for(100) for _ in range(5))
    seconds_for(11_000)
    assert min(seconds_for(100) for _ in range(5)) < 2 * first
    gevent.killall(waiting, timeout=SECONDS)
