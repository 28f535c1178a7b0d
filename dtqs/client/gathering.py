"""Submits that are made at the same time share a request: the API stores an array in one commit.

A submit that finds a free sender goes out at once, or when the threads of the last answer are awake. Those that arrive
meanwhile go out together with the next request.
"""

import asyncio
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from dtqs.client.alone import Alone
from dtqs.client.errors import ApiRefusal, ApiUnavailable
from dtqs.client.gathered import Gathered, LoopWaits, RoomWaits, is_about_all, link, resolve, split
from dtqs.client.values import Json
from dtqs.uuid7 import uuid7

SENDERS = 2
"""Requests in flight: one array is stored while the next one is encoded."""
GROUP_TASKS, GROUP_BYTES = 1000, 1 << 20
"""Most tasks of an array, and most bytes of their JSON."""
WAITING_TASKS, WAITING_BYTES = 10_000, 64 << 20
"""Above either, a submit waits for room."""
CHAIN_SECONDS = 0.005
"""A group waits at most this long for threads that have just been answered."""
LIMIT_SECONDS = 366 * 86400.0
"""Longest limit of a submit. A lock takes no infinity."""
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode

Post = Callable[[bytes, str], Any]
"""Submits JSON under an idempotency key, with retries, and returns the answer."""


class Gathering:
    """Sends submits in arrays, from threads of its own. `limit_seconds` is the longest wait of one submit."""

    def __init__(self, post: Post, limit_seconds: float) -> None:
        self._post, self._limit_seconds = post, min(limit_seconds, LIMIT_SECONDS)
        lock = threading.Lock()
        self._changed, self._room = threading.Condition(lock), threading.Condition(lock)
        self._leaving = threading.Lock()
        self._waiting: deque[Gathered] = deque()
        self._bytes = self._idle = 0
        self._chains, self._chains_until = 0, 0.0
        """Answered groups of threads that still wake one another, and the time until which a sender waits for them."""
        self._closed = False
        self._loops: dict[asyncio.AbstractEventLoop, LoopWaits] = {}
        self._roomless = RoomWaits()
        self._alone: Alone | None = None
        self._threads: list[threading.Thread] = []
        self._process_id = 0
        """The process of the threads."""

    def submit(self, body: Json) -> Json:
        """Return the answer for a task when it is durable. Raises ApiRefusal, ApiUnavailable."""
        self._refuse_a_copy()  # first of all: a copied lock may stay locked
        until = time.monotonic() + self._limit_seconds
        member = Gathered(_encode(body).encode(), until, None)
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
        """Do the same in a task of asyncio. A submit with a key of its own is a request of its own."""
        text, until = _encode(body).encode(), time.monotonic() + self._limit_seconds
        if idempotency_key is not None:
            return await self._submit_alone(text, idempotency_key, until)
        loop = asyncio.get_running_loop()
        member = Gathered(text, until, loop)
        assert member.future is not None
        try:
            while not self._add_now(member):
                await self._room_in(loop, until)
            waits = self._waits_of(loop)
            waits.add(member)
            try:
                await member.future
            finally:
                waits.remove(member)
        except BaseException:
            member.left = True  # a sender drops it unless it is stored or on its way
            raise
        if member.answer is None:
            raise self._late()
        return member.receipt()

    async def _submit_alone(self, text: bytes, idempotency_key: str, until: float) -> Json:
        self._refuse_a_copy()
        with self._changed:
            if self._closed:
                raise RuntimeError("the client is closed; make a new one")
            if self._alone is None:
                self._alone, self._process_id = Alone(self._post, self._late), os.getpid()
            sent = self._alone.send(text, idempotency_key, until)
        try:
            receipt: Json = await asyncio.wait_for(sent, max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise self._late() from None
        return receipt

    async def _room_in(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """Wait until there may be room. Raises ApiUnavailable."""
        waiter = loop.create_future()
        with self._changed:
            if self._has_room():
                return
            self._roomless.add(waiter)
        try:
            await asyncio.wait_for(waiter, max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise self._late() from None
        finally:
            with self._changed:
                self._roomless.remove(waiter)

    def _waits_of(self, loop: asyncio.AbstractEventLoop) -> LoopWaits:
        with self._changed:
            waits = self._loops.get(loop)
            if waits is None:
                # a program may have a new loop for each call, and a weak key would live as long as its waits
                self._loops = {each: others for each, others in self._loops.items() if not each.is_closed()}
                waits = self._loops[loop] = LoopWaits(loop)
            return waits

    def close(self) -> None:
        """Send the waiting submits, then end, within the limit of one submit. Safe to call twice."""
        if self._is_copied:
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._room.notify_all()
            self._roomless.wake()
            alone = self._alone
        until = time.monotonic() + self._limit_seconds
        if alone is not None:
            alone.close(until)
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def _is_copied(self) -> bool:
        """Tell whether this is a fork's copy: it has none of the threads, and perhaps a lock that nobody releases."""
        return bool(self._threads or self._alone) and self._process_id != os.getpid()

    def _refuse_a_copy(self) -> None:
        if self._is_copied:
            raise RuntimeError("the client was used before a fork; make a new one in this process")

    def _add(self, member: Gathered, until: float) -> None:
        """Wait for room, and queue a submit. Raises ApiUnavailable."""
        while not self._add_now(member):
            with self._room:
                if not self._room.wait_for(self._has_room, max(0.0, until - time.monotonic())):
                    raise self._late()

    def _add_now(self, member: Gathered) -> bool:
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

    def _leave(self, member: Gathered) -> bool:
        """Give up a submit: a sender drops it if it has not been sent. Return whether it has its answer."""
        with self._leaving:
            member.left = True
            return member.woken

    def _wake(self, member: Gathered | None) -> None:
        """Wake one thread, which wakes the next. Hundreds that wake at once would fight for the interpreter."""
        with self._leaving:
            while member is not None and member.left:
                member = member.following
            if member is not None:
                member.woken = True
                member.lock.release()
                return
        with self._changed:
            self._chains -= 1
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._closed or (len(self._waiting) < WAITING_TASKS and self._bytes < WAITING_BYTES)

    def _late(self) -> ApiUnavailable:
        return ApiUnavailable(f"a submit was not answered within {self._limit_seconds:g} s; submit less at once")

    def _run(self) -> None:
        while group := self._next_group():
            self._send(group)

    def _next_group(self) -> list[Gathered]:
        """Return the next submits to send together; empty at the end."""
        with self._changed:
            group: list[Gathered] = []
            while not group:
                while not self._waiting and not self._closed:
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                if not self._waiting:
                    return []
                self._wait_for_chains()
                group = self._take()
            self._room.notify_all()
            self._roomless.wake(GROUP_TASKS)
            return group

    def _wait_for_chains(self) -> None:
        """Wait until answered threads are awake. Most of them submit again at once, and then share the next request."""
        while self._chains and len(self._waiting) < GROUP_TASKS and not self._closed:
            left = self._chains_until - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _take(self) -> list[Gathered]:
        group: list[Gathered] = []
        room = GROUP_BYTES
        while self._waiting and len(group) < GROUP_TASKS and (not group or len(self._waiting[0].text) <= room):
            member = self._waiting.popleft()
            self._bytes -= len(member.text)
            group.append(member)
            room -= len(member.text)
        return group

    def _send(self, group: list[Gathered]) -> None:
        """Submit a group and answer its members. Only the bad tasks of a refused array fail."""
        parts = [group]
        while parts:
            part = self._in_time(parts.pop())
            if not part:
                continue
            try:
                answers = self._submit(part)
            except ApiRefusal as error:
                if len(part) > 1 and not is_about_all(error):
                    parts += split(part, error)
                    continue
                answers = [error] * len(part)
            except Exception as error:  # the threads that wait must hear of any error
                answers = [error] * len(part)
            self._answer(part, answers)

    def _in_time(self, part: list[Gathered]) -> list[Gathered]:
        """Return the submits that are still wanted. Refuse those that are late."""
        now = time.monotonic()
        late = [member for member in part if member.until <= now]
        if late:
            self._answer(late, [self._late()] * len(late))
        return [member for member in part if member.until > now and not member.left]

    def _answer(self, part: Sequence[Gathered], answers: Sequence[Any]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop | None, list[Gathered]] = {}
        for member, answer in zip(part, answers, strict=True):
            member.answer = answer
            by_loop.setdefault(member.loop, []).append(member)
        for loop, members in by_loop.items():
            if loop is None:
                with self._changed:
                    self._chains, self._chains_until = self._chains + 1, time.monotonic() + CHAIN_SECONDS
                self._wake(link(members))
            else:
                with suppress(RuntimeError):  # a closed loop: nobody waits
                    loop.call_soon_threadsafe(resolve, members)

    def _submit(self, part: Sequence[Gathered]) -> list[Any]:
        texts = [member.text for member in part]
        if len(part) == 1:
            return [self._post(texts[0], f"dtqs-{uuid7()}")]
        answers: list[Any] = self._post(b"[%s]" % b",".join(texts), f"dtqs-{uuid7()}")
        if len(answers) != len(part):
            raise ApiUnavailable(f"the API answered {len(part)} tasks with {len(answers)} receipts")
        return answers
