"""Turns: one at a time, fair between keys, and with a bounded queue."""

from collections.abc import Callable

import gevent
import pytest
from gevent.event import Event

from dtqs.api.submit.turns import Turns
from dtqs.errors import ExaminerBusy, StoreUnavailable

PATIENCE_SECONDS = 30.0


class Callers:
    """Requests that hold their turn until released, each in a greenlet. `served` lists their names in turn order."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.served: list[str] = []
        self._free = Event()

    def come(self, name: str, size: int = 1) -> "gevent.Greenlet[[], None]":
        """Start a request; the first character of its name is its key."""
        greenlet = gevent.spawn(self._ask, name, size)
        gevent.idle()
        return greenlet

    def let_go(self) -> None:
        self._free.set()

    def _ask(self, name: str, size: int) -> None:
        with self._turns.taken(name[0], size):
            self.served.append(name)
            self._free.wait()


def settle(*greenlets: "gevent.Greenlet[[], None]") -> None:
    gevent.joinall(greenlets, timeout=10)


def refused(greenlet: "gevent.Greenlet[[], None]") -> bool:
    return isinstance(greenlet.exception, ExaminerBusy)


def test_keys_take_turns_even_if_one_has_many_requests() -> None:
    callers = Callers(Turns(PATIENCE_SECONDS, 100))
    came = [callers.come(name) for name in ("a1", "a2", "a3", "a4", "b1", "c1", "b2")]
    assert callers.served == ["a1"]
    callers.let_go()
    settle(*came)
    assert callers.served == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_a_request_without_room_in_the_queue_is_refused_at_once() -> None:
    callers = Callers(Turns(PATIENCE_SECONDS, 3))
    came = [callers.come(name) for name in ("a1", "a2", "a3", "a4", "a5")]
    assert [refused(one) for one in came] == [False, False, False, False, True]
    callers.let_go()
    settle(*came)
    assert callers.served == ["a1", "a2", "a3", "a4"]


def test_a_new_key_displaces_a_request_of_the_key_with_the_most() -> None:
    callers = Callers(Turns(PATIENCE_SECONDS, 3))
    came = [callers.come(name) for name in ("a1", "a2", "a3", "a4", "b1", "b2")]
    assert [refused(one) for one in came] == [False, False, False, True, False, True]
    callers.let_go()
    settle(*came)
    assert callers.served == ["a1", "b1", "a2", "a3"]


def test_a_wait_ends_after_its_limit_and_leaves_nothing_behind() -> None:
    turns = Turns(0.01, 1)
    with turns.taken("a", 1):
        for _ in range(3):
            with pytest.raises(ExaminerBusy), turns.taken("b", 1):
                pass
    with turns.taken("b", 1):
        pass


@pytest.mark.parametrize("when", ["while it waits", "as it gets its turn"])
def test_a_killed_waiter_keeps_no_turn(when: str) -> None:
    callers = Callers(Turns(PATIENCE_SECONDS, 100))
    first, second, third = (callers.come(name) for name in ("a", "b", "c"))
    steps: list[Callable[[], None]] = [lambda: second.kill(block=False), callers.let_go]
    for step in steps if when == "while it waits" else reversed(steps):
        step()
    settle(first, second, third)
    assert callers.served[-1] == "c"


def test_several_turns_at_once_are_shared_between_keys() -> None:
    callers = Callers(Turns(PATIENCE_SECONDS, 100, at_once=3))
    greedy = [callers.come(f"a{number}") for number in range(9)]
    modest = callers.come("b0")
    assert callers.served == ["a0", "a1", "a2"]
    callers.let_go()
    settle(*greedy, modest)
    assert callers.served.index("b0") <= 5, "behind at most one turn of each place"
    assert len(callers.served) == 10
    again = [callers.come(f"c{number}") for number in range(3)]
    settle(*again)
    assert callers.served[-3:] == ["c0", "c1", "c2"], "no turn is lost"


def test_a_request_without_a_turn_gets_the_error_of_its_place() -> None:
    callers = Callers(Turns(0.0, 100, busy=lambda: StoreUnavailable("too many arrays")))
    holder, late = callers.come("a0"), callers.come("b0")
    settle(late)
    assert isinstance(late.exception, StoreUnavailable)
    callers.let_go()
    settle(holder)


def test_nobody_loses_its_place_for_a_request_that_has_no_room_all_the_same() -> None:
    callers = Callers(Turns(PATIENCE_SECONDS, 6))
    waiting = [callers.come(name) for name in ("a0", "a1", "a2", "a3")]
    waiting += [callers.come("b1", 2), callers.come("d1", 1)]
    late = callers.come("c1", 2)
    settle(late)
    assert refused(late)
    callers.let_go()
    settle(*waiting)
    assert sorted(callers.served) == ["a0", "a1", "a2", "a3", "b1", "d1"]


def test_the_largest_request_of_the_key_with_most_gives_room() -> None:
    callers = Callers(Turns(PATIENCE_SECONDS, 6))
    waiting = [callers.come("a0"), callers.come("a1", 4), callers.come("a2"), callers.come("a3"), callers.come("b1", 2)]
    assert [refused(one) for one in waiting] == [False, True, False, False, False]
    callers.let_go()
    settle(*waiting)
    assert sorted(callers.served) == ["a0", "a2", "a3", "b1"]
