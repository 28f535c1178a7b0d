"""Group commit: submits that arrive together share one commit, and a lone one commits at once.

A request that finds no commit in flight leads. Others wait until it promotes the first of them, which commits them all.
All run in greenlets of one process, so code between two waits needs no lock.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from gevent import get_hub
from gevent.hub import Waiter

from dtqs.api.submit.eviction import Share, victims
from dtqs.errors import StoreUnavailable
from dtqs.store.driver.lending import BORROWER, PROCESS
from dtqs.store.tasks import Stored
from dtqs.task import NewTask

GROUP_LIMIT = 500
"""Most tasks of one commit."""
GROUP_BYTES = 4 << 20
"""Most characters of payloads in one commit, unless a task has more. The loop is held to copy them, for 1 ms a MB."""
WAITING_LIMIT = 10 * GROUP_LIMIT
WAITING_BYTES = 64 << 20
"""Most characters of waiting payloads. The process holds several copies of each."""
_PROMOTED = object()
_DONE = object()

Insert = Callable[[Sequence[NewTask]], list[Stored]]


class _Member:
    """A request that waits for its answer, or for its promotion to leader."""

    __slots__ = ("answer", "key", "since", "size_bytes", "task", "waiter")

    def __init__(self, task: NewTask) -> None:
        self.task, self.key, self.since = task, task.submitted_by, time.monotonic()
        # characters stand for bytes: counting those would encode the payload once more
        self.size_bytes = len(task.payload)
        self.waiter = Waiter()
        self.answer: object = None

    def resolve(self, answer: object) -> None:
        """Set the answer, once, and let the hub wake the request: only the hub may switch to a waiter."""
        if self.answer is None or self.answer is _PROMOTED:
            self.answer = answer
            get_hub().loop.run_callback(self.waiter.switch, answer)


class _Waiting:
    """The waiting requests in their order, and the share of each API key."""

    def __init__(self) -> None:
        self._members: OrderedDict[_Member, None] = OrderedDict()
        self._shares: dict[str | None, Share[_Member]] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: _Member) -> bool:
        return member in self._members

    @property
    def first(self) -> _Member:
        return next(iter(self._members))

    def has_room(self, member: _Member) -> bool:
        return len(self._members) < WAITING_LIMIT and self.size_bytes + member.size_bytes <= WAITING_BYTES

    def append(self, member: _Member) -> None:
        self._members[member] = None
        self.size_bytes += member.size_bytes
        share = self._shares.get(member.key)
        if share is None:
            share = self._shares[member.key] = Share()
        share.add(member)

    def put_back(self, member: _Member) -> None:
        """Add a request in front of the others."""
        self.append(member)
        self._members.move_to_end(member, last=False)
        self._shares[member.key].members.move_to_end(member, last=False)

    def popleft(self) -> _Member:
        member = self.first
        self.remove(member)
        return member

    def remove(self, member: _Member) -> None:
        del self._members[member]
        self.size_bytes -= member.size_bytes
        share = self._shares[member.key]
        share.remove(member)
        if not share.members:
            del self._shares[member.key]

    def victims_for(self, member: _Member) -> list[_Member] | None:
        """Choose requests of keys with more that give room to this one; None if they may not give enough."""
        own: Share[_Member] = self._shares.get(member.key) or Share()
        missing_bytes = self.size_bytes + member.size_bytes - WAITING_BYTES
        if missing_bytes > 0:
            return victims(self._shares.values(), own.size_bytes + member.size_bytes, missing_bytes)
        # one place is missing
        most = max(self._shares.values(), key=lambda share: len(share.members))
        return [next(reversed(most.members))] if len(most.members) > len(own.members) + 1 else None


class Gather:
    """Stores single tasks.

    `insert` is the store's, and safe to repeat with the same ids. `committed` gets the result of each commit.
    """

    def __init__(
        self, insert: Insert, committed: Callable[[Sequence[NewTask], Sequence[Stored]], None], patience_seconds: float
    ) -> None:
        self._insert, self._committed, self._patience = insert, committed, patience_seconds
        self._leading = False
        self._waiting = _Waiting()

    @property
    def waiting(self) -> int:
        """The number of submits that wait for their commit."""
        return len(self._waiting)

    def submit(self, task: NewTask) -> None:
        """Return when the task is durable. Raises StoreUnavailable (also if too many wait), StoreRefused."""
        if not self._leading:
            self._leading = True
            self._lead(_Member(task))
            return
        member = _Member(task)
        self._make_room(member)
        self._waiting.append(member)
        self._wait(member)

    def expire(self) -> None:
        """Refuse requests that have waited too long for a commit: they arrive faster than the database commits."""
        oldest = time.monotonic() - self._patience
        while self._waiting and self._waiting.first.since < oldest:
            self._waiting.popleft().resolve(StoreUnavailable("waited too long for a commit"))

    def _make_room(self, member: _Member) -> None:
        """Refuse waiting submits of the key that has most, for one of a key with less. Raises StoreUnavailable."""
        if self._waiting.has_room(member):
            return
        others = self._waiting.victims_for(member)
        if others is None:
            raise _too_many()
        for other in others:
            self._waiting.remove(other)
            other.resolve(_too_many())

    def _wait(self, member: _Member) -> None:
        try:
            answer = member.waiter.get()
        except BaseException:
            # killed while it waited: give up its place in the queue, or pass on the lead that it has just got
            if member.answer is _PROMOTED:
                self._hand_over()
            elif member in self._waiting:
                self._waiting.remove(member)
            member.answer = _DONE  # a killed leader must not put it back: nobody would take the lead
            raise
        if answer is _PROMOTED:
            self._lead(member)
        elif isinstance(answer, BaseException):
            raise answer

    def _lead(self, leader: _Member) -> None:
        """Commit the leader's task and the waiting ones, then hand over, however this ends."""
        group = self._group(leader)
        parts = [group]
        borrower = BORROWER.set(PROCESS)  # for members of other keys, too
        try:
            while parts:
                part = parts.pop()
                tasks = [member.task for member in part]
                try:
                    stored = self._insert(tasks)
                except Exception as error:
                    parts += self._refused(part, leader, error)
                else:
                    self._answer(part, leader, _DONE)
                    self._committed(tasks, stored)
        finally:
            BORROWER.reset(borrower)
            # killed during the commit: it may have landed, so the next leader repeats it with the same ids
            for member in reversed(group):
                if member is not leader and member.answer is None:
                    self._waiting.put_back(member)
            self._hand_over()
        if isinstance(leader.answer, BaseException):
            raise leader.answer

    def _group(self, leader: _Member) -> list[_Member]:
        """Take as many waiting requests as one commit holds."""
        group, size_bytes = [leader], leader.size_bytes
        while self._waiting and len(group) < GROUP_LIMIT and size_bytes + self._waiting.first.size_bytes <= GROUP_BYTES:
            group.append(self._waiting.popleft())
            size_bytes += group[-1].size_bytes
        return group

    def _hand_over(self) -> None:
        if self._waiting:
            self._waiting.popleft().resolve(_PROMOTED)
        else:
            self._leading = False

    def _refused(self, part: list[_Member], leader: _Member, error: Exception) -> list[list[_Member]]:
        """Return the halves to try again, last one first, or answer the members: only a bad task fails, alone."""
        if isinstance(error, StoreUnavailable) or len(part) == 1:
            self._answer(part, leader, error)
            return []
        middle = len(part) // 2
        return [part[middle:], part[:middle]]

    def _answer(self, group: list[_Member], leader: _Member, answer: object) -> None:
        for member in group:
            if member is leader:
                leader.answer = answer
            else:
                member.resolve(answer)


def _too_many() -> StoreUnavailable:
    return StoreUnavailable("too many submits wait for their commit")
