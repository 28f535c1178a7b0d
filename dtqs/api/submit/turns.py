"""Turns at a resource that serves few requests at a time: fair between API keys, with bounded waiting."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gevent.event import Event

from dtqs.api.submit.eviction import Share, victims
from dtqs.errors import DtqsError, ExaminerBusy
from dtqs.store.driver.lending import IN_TURN, borrowing_for


@dataclass(eq=False, slots=True)
class _Waiter:
    key: str | None
    size_bytes: int
    woken: Event = field(default_factory=Event)
    has_turn: bool = False


class Turns:
    """Gives `at_once` turns at a time, to each waiting key in turn. A request waits at most `patience_seconds`.

    All waiters together hold at most `most_bytes`. Above that, the key with the most bytes loses its largest waiter to
    a key with fewer. `busy` makes the error for a request without a turn.
    """

    def __init__(
        self,
        patience_seconds: float,
        most_bytes: int,
        at_once: int = 1,
        busy: Callable[[], DtqsError] = lambda: ExaminerBusy("too many large bodies wait to be examined"),
    ) -> None:
        self._patience_seconds, self._most_bytes, self._busy = patience_seconds, most_bytes, busy
        self._lines: OrderedDict[str | None, Share[_Waiter]] = OrderedDict()
        self._free = at_once

    @contextmanager
    def taken(self, key: str | None, size: int) -> Iterator[None]:
        """Hold a turn. `size` is the memory of the request while it waits. Raises the error of `busy`.

        With it the request does not wait for a connection behind other requests of its key.
        """
        if self._free:
            self._free -= 1
        else:
            self._wait(_Waiter(key, size))
        try:
            with borrowing_for(IN_TURN):
                yield
        finally:
            self._pass_on(key)

    def _wait(self, waiter: _Waiter) -> None:
        self._make_room(waiter)
        self._lines.setdefault(waiter.key, Share()).add(waiter)
        try:
            waiter.woken.wait(self._patience_seconds)
        except BaseException:
            if waiter.has_turn:
                self._pass_on(waiter.key)
            raise
        finally:
            if not waiter.woken.is_set():
                self._leave(waiter)
        if not waiter.has_turn:
            raise self._busy()

    def _make_room(self, waiter: _Waiter) -> None:
        missing_bytes = sum(line.size_bytes for line in self._lines.values()) + waiter.size_bytes - self._most_bytes
        if not self._lines or missing_bytes <= 0:
            return
        own: Share[_Waiter] = self._lines.get(waiter.key) or Share()
        others = victims(self._lines.values(), own.size_bytes + waiter.size_bytes, missing_bytes)
        if others is None:
            raise self._busy()
        for other in others:
            self._leave(other)
            other.woken.set()

    def _leave(self, waiter: _Waiter) -> None:
        line = self._lines[waiter.key]
        line.remove(waiter)
        if not line.members:
            del self._lines[waiter.key]

    def _pass_on(self, key: str | None) -> None:
        """Give the turn to the next key. The key that has just had it comes last."""
        if key in self._lines:
            self._lines.move_to_end(key)
        for following, line in self._lines.items():
            waiter = next(iter(line.members))
            self._leave(waiter)
            if following in self._lines:
                self._lines.move_to_end(following)
            waiter.has_turn = True
            waiter.woken.set()
            return
        self._free += 1
