"""Group commit: submits that arrive together share one, and one that comes alone waits for nobody.

The request that finds no commit in flight leads: it commits at once itself. Those that arrive meanwhile wait, and one of them, promoted by the
leader before, commits them all together. All of it runs in greenlets of one process, so what stands between two waits needs no lock.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from gevent import get_hub
from gevent.hub import Waiter

from dtqs.errors import StoreUnavailable
from dtqs.store.tasks import Stored
from dtqs.task import NewTask

GROUP_LIMIT = 500
"""Most tasks of one commit."""
GROUP_BYTES = 16 << 20
"""A commit takes no further task when its payloads come to so much."""
WAITING_LIMIT = 10 * GROUP_LIMIT
WAITING_BYTES = 64 << 20
"""Most that the payloads of waiting submits come to; the process holds each several times over."""
_PROMOTED = object()
_DONE = object()

Insert = Callable[[Sequence[NewTask]], list[Stored]]


class _Member:
    """A request that waits: for its answer, or to be promoted."""

    __slots__ = ("answer", "since", "size_bytes", "task", "waiter")

    def __init__(self, task: NewTask) -> None:
        self.task, self.since = task, time.monotonic()
        self.size_bytes = len(task.payload)  # of its characters: near enough, and costs nothing
        self.waiter = Waiter()
        self.answer: object = None

    def resolve(self, answer: object) -> None:
        """Give the answer, once, and wake the request in the loop's next turn; a waiter must not be switched to from another greenlet."""
        if self.answer is None or self.answer is _PROMOTED:
            self.answer = answer
            get_hub().loop.run_callback(self.waiter.switch, answer)


class _Waiting:
    """Those that wait, in their order, and what their payloads come to."""

    def __init__(self) -> None:
        self._members: deque[_Member] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: _Member) -> bool:
        return member in self._members

    @property
    def first(self) -> _Member:
        return self._members[0]

    def append(self, member: _Member) -> None:
        self._members.append(member)
        self.size_bytes += member.size_bytes

    def put_back(self, member: _Member) -> None:
        self._members.appendleft(member)
        self.size_bytes += member.size_bytes

    def popleft(self) -> _Member:
        member = self._members.popleft()
        self.size_bytes -= member.size_bytes
        return member

    def remove(self, member: _Member) -> None:
        self._members.remove(member)
        self.size_bytes -= member.size_bytes


class Gather:
    """Stores single tasks. `insert` is the store's, may be said again under the same ids; `committed` is told what each commit stored."""

    def __init__(
        self, insert: Insert, committed: Callable[[Sequence[NewTask], Sequence[Stored]], None], patience_seconds: float
    ) -> None:
        self._insert, self._committed, self._patience = insert, committed, patience_seconds
        self._leading = False
        self._waiting = _Waiting()

    def submit(self, task: NewTask) -> None:
        """Return when the task is durable. Raises StoreUnavailable (also when too many wait), StoreRefused."""
        if not self._leading:
            self._leading = True
            self._lead(_Member(task))
            return
        member = _Member(task)
        if len(self._waiting) >= WAITING_LIMIT or self._waiting.size_bytes + member.size_bytes > WAITING_BYTES:
            raise StoreUnavailable("too many submits wait for their commit")
        self._waiting.append(member)
        self._wait(member)

    def expire(self) -> None:
        """Refuse those that have waited for too long to be part of a commit: the database is slower than they come."""
        oldest = time.monotonic() - self._patience
        while self._waiting and self._waiting.first.since < oldest:
            self._waiting.popleft().resolve(StoreUnavailable("waited too long for a commit"))

    def _wait(self, member: _Member) -> None:
        try:
            answer = member.waiter.get()
        except BaseException:
            # killed while it waited: a place in the queue, or the lead that it has just been given, goes on to others
            if member.answer is _PROMOTED:
                self._hand_over()
            elif member in self._waiting:
                self._waiting.remove(member)
            raise
        if answer is _PROMOTED:
            self._lead(member)
        elif isinstance(answer, BaseException):
            raise answer

    def _lead(self, leader: _Member) -> None:
        """Commit the leader's task and those that wait, then hand over, however this ends."""
        group, size_bytes = [leader], leader.size_bytes
        while self._waiting and len(group) < GROUP_LIMIT and size_bytes + self._waiting.first.size_bytes <= GROUP_BYTES:
            group.append(self._waiting.popleft())
            size_bytes += group[-1].size_bytes
        try:
            self._commit(group, leader)
        finally:
            # killed in the middle: whether the commit landed is not known, and the next leader says it again under the same ids
            for member in reversed(group):
                if member is not leader and member.answer is None:
                    self._waiting.put_back(member)
            self._hand_over()
        if isinstance(leader.answer, BaseException):
            raise leader.answer

    def _hand_over(self) -> None:
        if self._waiting:
            self._waiting.popleft().resolve(_PROMOTED)
        else:
            self._leading = False

    def _commit(self, group: list[_Member], leader: _Member) -> None:
        """Store a group and answer each of it; one that cannot be stored is found by halving, and fails alone."""
        try:
            stored = self._insert([member.task for member in group])
        except StoreUnavailable as error:
            self._answer(group, leader, error)
        except Exception as error:  # whatever is wrong with one row must not fail the others
            if len(group) == 1:
                self._answer(group, leader, error)
                return
            middle = len(group) // 2
            self._commit(group[:middle], leader)
            self._commit(group[middle:], leader)
        else:
            self._answer(group, leader, _DONE)
            self._committed([member.task for member in group], stored)

    def _answer(self, group: list[_Member], leader: _Member, answer: object) -> None:
        for member in group:
            if member is leader:
                leader.answer = answer
            else:
                member.resolve(answer)
