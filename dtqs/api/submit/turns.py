"""Turns at a resource that serves few requests at a time: fair between API keys, with bounded waiting."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gevent.event import Event

from dtqs.errors import DtqsError, ExaminerBusy


@dataclass(eq=False, slots=True)
class _Waiter:
    size: int
    woken: Event = field(default_factory=Event)
    has_turn: bool = False


@dataclass(slots=True)
class _Line:
    """The waiters of one key, oldest first."""

    waiters: deque[_Waiter] = field(default_factory=deque)
    size: int = 0

    def add(self, waiter: _Waiter) -> None:
        self.waiters.append(waiter)
        self.size += waiter.size

    def remove(self, waiter: _Waiter) -> None:
        self.waiters.remove(waiter)
        self.size -= waiter.size


class Turns:
    """Gives `at_once` turns at a time, to each waiting key in turn. A request waits at most `patience_seconds`.

    All waiters together hold at most `most_bytes`. Above that, the key with the most bytes loses its newest waiter to a
    key with fewer. `busy` makes the error for a request without a turn.
    """

    def __init__(
        self,
        patience_seconds: float,
        most_bytes: int,
        at_once: int = 1,
        busy: Callable[[], DtqsError] = lambda: ExaminerBusy("too many large bodies wait to be examined"),
    ) -> None:
        self._patience_seconds, self._most_bytes, self._busy = patience_seconds, most_bytes, busy
        self._lines: OrderedDict[str | None, _Line] = OrderedDict()
        self._free = at_once

    @contextmanager
    def taken(self, key: str | None, size: int) -> Iterator[None]:
        """Hold a turn. `size` is the memory of the request while it waits. Raises the error of `busy`."""
        if self._free:
            self._free -= 1
        else:
            self._wait(key, _Waiter(size))
        try:
            yield
        finally:
            self._pass_on(key)

    def _wait(self, key: str | None, waiter: _Waiter) -> None:
        self._make_room(key, waiter.size)
        self._lines.setdefault(key, _Line()).add(waiter)
        try:
            waiter.woken.wait(self._patience_seconds)
        except BaseException:
            if waiter.has_turn:
                self._pass_on(key)
            raise
        finally:
            if not waiter.woken.is_set():
                self._leave(key, waiter)
        if not waiter.has_turn:
            raise self._busy()

    def _make_room(self, key: str | None, size: int) -> None:
        own = self._lines[key].size if key in self._lines else 0
        while self._lines and sum(line.size for line in self._lines.values()) + size > self._most_bytes:
            greediest, line = max(self._lines.items(), key=lambda item: item[1].size)
            if line.size <= own + size:
                raise self._busy()
            newest = line.waiters[-1]
            self._leave(greediest, newest)
            newest.woken.set()

    def _leave(self, key: str | None, waiter: _Waiter) -> None:
        line = self._lines[key]
        line.remove(waiter)
        if not line.waiters:
            del self._lines[key]

    def _pass_on(self, key: str | None) -> None:
        """Give the turn to the next key. The key that has just had it comes last."""
        if key in self._lines:
            self._lines.move_to_end(key)
        for following, line in self._lines.items():
            waiter = line.waiters[0]
            self._leave(following, waiter)
            if following in self._lines:
                self._lines.move_to_end(following)
            waiter.has_turn = True
            waiter.woken.set()
            return
        self._free += 1
