"""The parts of a gathered request: its submits, each with the place where it waits, and how a refused one is split."""

import asyncio
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from itertools import pairwise, takewhile
from typing import Any

from dtqs.client.errors import ApiRefusal, ApiUnavailable
from dtqs.client.values import Json

_INDEX = re.compile(r"\[(\d{1,4})\]")
_ABOUT_ALL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


class Gathered:
    """One submit that waits for its answer: in a thread, by its lock, or in a task of `loop`, by its future."""

    __slots__ = ("answer", "following", "future", "left", "lock", "loop", "text", "until", "woken")

    def __init__(self, text: bytes, until: float, loop: asyncio.AbstractEventLoop | None) -> None:
        self.text, self.until, self.loop, self.left, self.woken = text, until, loop, False, False
        self.answer: Any = None
        self.following: Gathered | None = None
        """The thread that this one wakes."""
        self.future: asyncio.Future[None] | None = None
        self.lock: Any = None
        if loop is None:
            self.lock = threading.Lock()
            self.lock.acquire()
        else:
            self.future = loop.create_future()

    def receipt(self) -> Json:
        """Return the answer. Raises its error."""
        # each thread raises an error of its own: they would share one traceback
        if isinstance(self.answer, ApiUnavailable):
            raise ApiUnavailable(
                str(self.answer), self.answer.exit_status, retry_after_seconds=self.answer.retry_after_seconds
            ) from self.answer
        if isinstance(self.answer, ApiRefusal):
            raise ApiRefusal(str(self.answer), self.answer.status, self.answer.problem) from self.answer
        if isinstance(self.answer, BaseException):
            raise self.answer
        receipt: Json = self.answer
        return receipt


class LoopWaits:
    """The submits of one event loop that wait for their answers. One timer ends the late ones.

    A timer for each submit would cost as much as the submit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._has_timer = loop, False
        self._members: dict[Gathered, None] = {}

    def add(self, member: Gathered) -> None:
        """Note a submit until `remove`. All have the same limit, so they get late in their order."""
        self._members[member] = None
        self._set_timer()

    def remove(self, member: Gathered) -> None:
        """Forget a submit. Those before it may still wait for long."""
        self._members.pop(member, None)

    def _set_timer(self) -> None:
        if self._members and not self._has_timer:
            self._has_timer = True
            first = next(iter(self._members))
            self._loop.call_later(max(0.0, first.until - time.monotonic()), self._end_late)

    def _end_late(self) -> None:
        """Resolve the late ones. One without an answer has left: a sender drops it, unless it is on its way."""
        self._has_timer, now = False, time.monotonic()
        for member in list(takewhile(lambda one: one.until <= now, self._members)):
            self.remove(member)
            member.left = True
            resolve([member])
        self._set_timer()


class RoomWaits:
    """The tasks of asyncio that wait for room. Callers hold the lock of the submits."""

    def __init__(self) -> None:
        self._waiters: deque[asyncio.Future[None]] = deque()

    def add(self, waiter: "asyncio.Future[None]") -> None:
        self._waiters.append(waiter)

    def remove(self, waiter: "asyncio.Future[None]") -> None:
        """Safe to call twice."""
        with suppress(ValueError):
            self._waiters.remove(waiter)

    def wake(self, most: int = sys.maxsize) -> None:
        """Let some of them look for room again."""
        for _ in range(min(most, len(self._waiters))):
            waiter = self._waiters.popleft()
            with suppress(RuntimeError):  # a closed loop: nobody waits
                waiter.get_loop().call_soon_threadsafe(_open, waiter)


def _open(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def link(threads: Sequence[Gathered]) -> Gathered | None:
    """Let each thread wake the next. Return the first one."""
    for one, following in pairwise(threads):
        one.following = following
    return threads[0] if threads else None


def resolve(members: Sequence[Gathered]) -> None:
    """Wake tasks of asyncio, in their loop."""
    for member in members:
        if member.future is not None and not member.future.done():
            member.future.set_result(None)


def is_about_all(error: ApiRefusal) -> bool:
    """Tell whether the API refuses the key or the URL: it would refuse each task alone for the same reason."""
    return error.status in _ABOUT_ALL and not error.problem.get("errors")


def split(part: list[Gathered], error: ApiRefusal) -> list[list[Gathered]]:
    """Return the parts to submit instead of a refused array: the tasks that the error names, each alone, and the rest.

    Without names, return both halves.
    """
    named = {
        int(found[1])
        for problem in error.problem.get("errors") or ()
        if isinstance(problem, dict) and (found := _INDEX.match(str(problem.get("field"))))
    }.intersection(range(len(part)))
    if not named:
        middle = len(part) // 2
        return [part[middle:], part[:middle]]
    rest = [member for index, member in enumerate(part) if index not in named]
    return [*([member] for index, member in enumerate(part) if index in named), *([rest] if rest else [])]
