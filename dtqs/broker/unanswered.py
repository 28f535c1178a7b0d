"""The hints of one channel that have no answer yet, by queue. A queue that does not answer holds up no other one."""

import time
from collections.abc import Callable, Iterator, Sequence

from dtqs.task import Due

WINDOW = 2000
"""The most hints of a queue that wait for their confirm."""
SILENT_SECONDS = 1.0
"""Nobody waits for a queue that has answered nothing for so long: its node may be frozen, or most of its nodes gone."""


class Unanswered:
    """Hints by their delivery tag, in the order of publishing."""

    def __init__(self, queue_of: Callable[[Sequence[Due]], str]) -> None:
        self._queue_of = queue_of
        self._hints: dict[int, list[Due]] = {}
        self._counts: dict[str, int] = {}
        self._since: dict[str, float] = {}
        """When a queue with such hints last answered, or got the first of them. It outlives the channel."""

    def __len__(self) -> int:
        return len(self._hints)

    def __iter__(self) -> Iterator[int]:
        return iter(self._hints)

    @property
    def hints(self) -> Sequence[list[Due]]:
        """The tasks of each hint."""
        return list(self._hints.values())

    @property
    def oldest(self) -> list[Due] | None:
        """The tasks of the oldest hint."""
        return next(iter(self._hints.values()), None)

    @property
    def are_awaited(self) -> bool:
        """Whether a queue with such hints has answered lately, or got them only now."""
        if not self._hints:
            return False
        since = time.monotonic() - SILENT_SECONDS
        return any(self._since[queue] > since for queue in self._counts)

    def has_room(self, queue: str) -> bool:
        """Tell whether one more hint of this queue may be published."""
        return self._counts.get(queue, 0) < WINDOW

    def add(self, tag: int, queue: str, members: list[Due]) -> None:
        """Note a hint that is published now."""
        self._hints[tag] = members
        self._counts[queue] = self._counts.get(queue, 0) + 1
        if queue not in self._since:
            self._since[queue] = time.monotonic()

    def pop(self, tag: int) -> list[Due] | None:
        """Remove a hint that is answered now, and return its tasks; None for the tag of another message."""
        members = self._hints.pop(tag, None)
        if members is not None:
            queue = self._queue_of(members)
            left = self._counts[queue] - 1
            if left:
                self._counts[queue], self._since[queue] = left, time.monotonic()
            else:
                del self._counts[queue], self._since[queue]
        return members

    def tag_of(self, first_id: str) -> int | None:
        """Return the tag of the hint whose first task has this id, or None."""
        return next((tag for tag, members in self._hints.items() if members[0].task_id == first_id), None)

    def clear(self, lost: bool = False) -> None:
        """Forget all hints: their channel is gone. With `lost`, also which queues were silent."""
        self._hints.clear()
        self._counts.clear()
        if lost:
            self._since.clear()
