"""Shares the connections of a process between its borrowers: the process itself, requests with a turn, and API keys.

A borrower with thousands of requests delays the others by a statement or two, not by its whole line. All run in
greenlets of one process, so code between two waits needs no lock.
"""

import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from gevent.event import Event

PROCESS = "process"
"""The process, for all its clients: group commits, shared reads, the hub, chores. It goes first."""
UNKNOWN = "unknown"
"""Requests whose API key is not known yet: look-ups of keys and sessions."""
IN_TURN = "in turn"
"""Requests that hold a turn. Turns are few, and fair between keys: with one, nobody waits in the line of a key."""
_RESERVED_PART = 4
P = ParamSpec("P")
T = TypeVar("T")
BORROWER: ContextVar[str] = ContextVar("borrower", default=PROCESS)
"""The borrower for whom this greenlet works: one of those above, or the id of an API key."""


@contextmanager
def borrowing_for(borrower: str) -> Iterator[None]:
    """Let this greenlet borrow for another one during the block."""
    token = BORROWER.set(borrower)
    try:
        yield
    finally:
        BORROWER.reset(token)


def for_the_process(call: Callable[P, T]) -> Callable[P, T]:
    """Return the function as one that borrows for the process, since requests of other keys wait for its result."""

    @functools.wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        token = BORROWER.set(PROCESS)
        try:
            return call(*args, **kwargs)
        finally:
            BORROWER.reset(token)

    return called


class _InLine:
    __slots__ = ("has_place", "woken")

    def __init__(self) -> None:
        self.has_place, self.woken = False, Event()


class Lending:
    """Lends places, each for one connection.

    A quarter of them is reserved for the process and unknown keys. Apart from the process, a borrower also leaves one
    of the others free. A place goes to the process first, and then to the waiting lines by turns.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._unreserved = places - places // _RESERVED_PART
        self._most = max(1, self._unreserved - 1)
        self._lent: dict[str, int] = {}
        # to take the first key of a dict again and again costs quadratic time
        self._lines: OrderedDict[str, OrderedDict[_InLine, None]] = OrderedDict()
        self.waits, self.wait_seconds = 0, 0.0

    @property
    def waiting(self) -> int:
        """The number of greenlets that wait for a place."""
        return sum(map(len, self._lines.values()))

    def take(self, borrower: str) -> bool:
        """Take a place if this borrower may have one now. Nobody else waits for a place that it may have."""
        if not self._may_take(borrower):
            return False
        self._count(borrower, 1)
        return True

    def wait(self, borrower: str, patience_seconds: float) -> bool:
        """Wait for a place after `take` gave none. Return whether it came in time."""
        waiter, began = _InLine(), time.monotonic()
        self._lines.setdefault(borrower, OrderedDict())[waiter] = None
        self.waits += 1
        try:
            waiter.woken.wait(patience_seconds)
        except BaseException:
            if waiter.has_place:  # killed between the gift of its place and its awakening
                self.give_back(borrower)
            raise
        finally:
            self.wait_seconds += time.monotonic() - began
            if not waiter.has_place:
                self._leave(borrower, waiter)
        return waiter.has_place

    def give_back(self, borrower: str) -> None:
        """Give a place back, or pass it on to a line that waits."""
        self._count(borrower, -1)
        if self._lines:
            self._pass_on()

    def _may_take(self, borrower: str) -> bool:
        if not self._free or borrower == PROCESS:
            return self._free > 0
        is_reserved = self._unreserved <= 0 and borrower != UNKNOWN
        return not is_reserved and self._lent.get(borrower, 0) < self._most

    def _count(self, borrower: str, places: int) -> None:
        self._free -= places
        if borrower == PROCESS:
            return
        if borrower != UNKNOWN:
            self._unreserved -= places
        lent = self._lent.pop(borrower, 0) + places
        if lent:
            self._lent[borrower] = lent

    def _pass_on(self) -> None:
        """Give free places to the lines that may have them. A line that gets one comes last."""
        while self._free and (borrower := self._next()) is not None:
            waiter = next(iter(self._lines[borrower]))
            self._lines.move_to_end(borrower)
            self._leave(borrower, waiter)
            self._count(borrower, 1)
            waiter.has_place = True
            waiter.woken.set()

    def _next(self) -> str | None:
        if PROCESS in self._lines:
            return PROCESS
        if self._unreserved <= 0:  # thousands of keys may wait, and none of them may have a reserved place
            return UNKNOWN if UNKNOWN in self._lines and self._may_take(UNKNOWN) else None
        return next((borrower for borrower in self._lines if self._may_take(borrower)), None)

    def _leave(self, borrower: str, waiter: _InLine) -> None:
        line = self._lines[borrower]
        del line[waiter]
        if not line:
            del self._lines[borrower]
