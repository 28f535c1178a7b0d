"""Submits that are made at the same time share a request: the API stores an array in one commit.

A submit that finds a free sender goes out at once. Those that arrive meanwhile go out together with the next request.
"""

import asyncio
import json
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from itertools import pairwise
from typing import Any

from dtqs.client.errors import ApiRefusal, ApiUnavailable
from dtqs.client.values import Json
from dtqs.uuid7 import uuid7

SENDERS = 2
"""Requests in flight: one array is stored while the next one is encoded."""
GROUP_TASKS, GROUP_BYTES = 1000, 1 << 20
"""Most tasks of an array, and most bytes of their JSON."""
WAITING_TASKS, WAITING_BYTES = 10_000, 64 << 20
"""Above either, a submit waits for room."""
LIMIT_SECONDS = 366 * 86400.0
"""Longest limit of a submit. A lock takes no infinity."""
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_INDEX = re.compile(r"\[(\d{1,4})\]")
_ABOUT_ALL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)

Post = Callable[[bytes, str], Any]
"""Submits JSON under an idempotency key, with retries, and returns the answer."""


class _Gathered:
    """One submit that waits for its answer: in a thread, by its lock, or in a task of `loop`, by its future."""

    __slots__ = ("answer", "following", "future", "left", "lock", "loop", "text", "until", "woken")

    def __init__(self, text: bytes, until: float, loop: asyncio.AbstractEventLoop | None) -> None:
        self.text, self.until, self.loop, self.left, self.woken = text, until, loop, False, False
        self.answer: Any = None
        self.following: _Gathered | None = None
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
            raise ApiUnavailable(str(self.answer), self.answer.exit_status) from self.answer
        if isinstance(self.answer, ApiRefusal):
            raise ApiRefusal(str(self.answer), self.answer.status, self.answer.problem) from self.answer
        if isinstance(self.answer, BaseException):
            raise self.answer
        receipt: Json = self.answer
        return receipt


class Gathering:
    """Sends submits in arrays, from threads of its own. `limit_seconds` is the longest wait of one submit."""

    def __init__(self, post: Post, limit_seconds: float) -> None:
        self._post, self._limit_seconds = post, min(limit_seconds, LIMIT_SECONDS)
        lock = threading.Lock()
        self._changed, self._room = threading.Condition(lock), threading.Condition(lock)
        self._leaving = threading.Lock()
        self._waiting: deque[_Gathered] = deque()
        self._bytes = self._idle = 0
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._process_id = 0
        """The process of the threads."""

    def submit(self, body: Json) -> Json:
        """Return the answer for a task when it is durable. Raises ApiRefusal, ApiUnavailable."""
        self._refuse_a_copy()  # first of all: a copied lock may stay locked
        until = time.monotonic() + self._limit_seconds
        member = _Gathered(_encode(body).encode(), until, None)
        answered = False
        try:
            self._add(member, until)
            answered = member.lock.acquire(timeout=max(0.0, until - time.monotonic()))
        finally:
            if answered or self._leave(member):
                self._wake(member.following)
        if member.answer is None:
            raise self._late()
        return member.receipt()  # also if it was not woken in time: a second submit would make a second task

    async def submit_async(self, body: Json, idempotency_key: str | None = None) -> Json:
        """Do the same in a task of asyncio. A submit with a key of its own is a request of its own.

        A timer for each submit would cost as much as the submit: the senders refuse those that are late.
        """
        text, until = _encode(body).encode(), time.monotonic() + self._limit_seconds
        if idempotency_key is not None:
            receipt: Json = await asyncio.to_thread(self._post, text, idempotency_key)
            return receipt
        member = _Gathered(text, until, asyncio.get_running_loop())
        assert member.future is not None
        try:
            if not self._add_now(member):
                await asyncio.to_thread(self._add, member, until)
            await member.future
        except BaseException:
            member.left = True  # a sender drops it unless it is stored or on its way
            raise
        return member.receipt()

    def close(self) -> None:
        """Send the waiting submits, then end. Safe to call twice."""
        if self._is_copied:
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._room.notify_all()
        until = time.monotonic() + self._limit_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def _is_copied(self) -> bool:
        """Tell whether this is a fork's copy: it has none of the threads, and perhaps a lock that nobody releases."""
        return bool(self._threads) and self._process_id != os.getpid()

    def _refuse_a_copy(self) -> None:
        if self._is_copied:
            raise RuntimeError("the client was used before a fork; make a new one in this process")

    def _add(self, member: _Gathered, until: float) -> None:
        """Wait for room, and queue a submit. Raises ApiUnavailable."""
        while not self._add_now(member):
            with self._room:
                if not self._room.wait_for(self._has_room, max(0.0, until - time.monotonic())):
                    raise self._late()

    def _add_now(self, member: _Gathered) -> bool:
        self._refuse_a_copy()
        with self._changed:
            if self._closed:
                raise RuntimeError("the client is closed; make a new one")
            if not self._has_room():
                return False
            self._waiting.append(member)
            self._bytes += len(member.text)
            if self._idle:
                self._changed.notify()
            elif len(self._threads) < SENDERS:
                thread = threading.Thread(target=self._run, daemon=True, name="dtqs submits")
                thread.start()
                self._process_id = os.getpid()
                self._threads.append(thread)
            return True

    def _leave(self, member: _Gathered) -> bool:
        """Give up a submit: a sender drops it if it has not been sent. Return whether it has its answer."""
        with self._leaving:
            member.left = True
            return member.woken

    def _wake(self, member: _Gathered | None) -> None:
        """Wake one thread, which wakes the next. Hundreds that wake at once would fight for the interpreter."""
        with self._leaving:
            while member is not None and member.left:
                member = member.following
            if member is not None:
                member.woken = True
                member.lock.release()

    def _has_room(self) -> bool:
        return self._closed or (len(self._waiting) < WAITING_TASKS and self._bytes < WAITING_BYTES)

    def _late(self) -> ApiUnavailable:
        return ApiUnavailable(f"a submit was not answered within {self._limit_seconds:g} s; submit less at once")

    def _run(self) -> None:
        while group := self._next_group():
            self._send(group)

    def _next_group(self) -> list[_Gathered]:
        """Return the next submits to send together; empty at the end."""
        with self._changed:
            group: list[_Gathered] = []
            while not group:
                while not self._waiting and not self._closed:
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                if not self._waiting:
                    return []
                group = self._take()
            self._room.notify_all()
            return group

    def _take(self) -> list[_Gathered]:
        group: list[_Gathered] = []
        room = GROUP_BYTES
        while self._waiting and len(group) < GROUP_TASKS and (not group or len(self._waiting[0].text) <= room):
            member = self._waiting.popleft()
            self._bytes -= len(member.text)
            group.append(member)
            room -= len(member.text)
        return group

    def _send(self, group: list[_Gathered]) -> None:
        """Submit a group and answer its members. Only the bad tasks of a refused array fail."""
        parts = [group]
        while parts:
            part = self._in_time(parts.pop())
            if not part:
                continue
            try:
                answers = self._submit(part)
            except ApiRefusal as error:
                if len(part) > 1 and not _is_about_all(error):
                    parts += _split(part, error)
                    continue
                answers = [error] * len(part)
            except Exception as error:  # the threads that wait must hear of any error
                answers = [error] * len(part)
            self._answer(part, answers)

    def _in_time(self, part: list[_Gathered]) -> list[_Gathered]:
        """Return the submits that are still wanted. Refuse those that are late."""
        now = time.monotonic()
        late = [member for member in part if member.until <= now]
        if late:
            self._answer(late, [self._late()] * len(late))
        return [member for member in part if member.until > now and not member.left]

    def _answer(self, part: Sequence[_Gathered], answers: Sequence[Any]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop | None, list[_Gathered]] = {}
        for member, answer in zip(part, answers, strict=True):
            member.answer = answer
            by_loop.setdefault(member.loop, []).append(member)
        for loop, members in by_loop.items():
            if loop is None:
                self._wake(_link(members))
            else:
                with suppress(RuntimeError):  # a closed loop: nobody waits
                    loop.call_soon_threadsafe(_resolve, members)

    def _submit(self, part: Sequence[_Gathered]) -> list[Any]:
        texts = [member.text for member in part]
        if len(part) == 1:
            return [self._post(texts[0], f"dtqs-{uuid7()}")]
        answers: list[Any] = self._post(b"[%s]" % b",".join(texts), f"dtqs-{uuid7()}")
        if len(answers) != len(part):
            raise ApiUnavailable(f"the API answered {len(part)} tasks with {len(answers)} receipts")
        return answers


def _link(threads: Sequence[_Gathered]) -> _Gathered | None:
    """Let each thread wake the next. Return the first one."""
    for one, following in pairwise(threads):
        one.following = following
    return threads[0] if threads else None


def _is_about_all(error: ApiRefusal) -> bool:
    """Tell whether the API refuses the key or the URL: it would refuse each task alone for the same reason."""
    return error.status in _ABOUT_ALL and not error.problem.get("errors")


def _split(part: list[_Gathered], error: ApiRefusal) -> list[list[_Gathered]]:
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


def _resolve(members: Sequence[_Gathered]) -> None:
    for member in members:
        if member.future is not None and not member.future.done():
            member.future.set_result(None)
