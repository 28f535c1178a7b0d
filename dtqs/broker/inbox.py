"""Unclaimed deliveries in their order. The thread that serves the broker's loop puts, the main thread takes, and both
may empty it. The prefetch bounds it.
"""

import threading
from collections import deque
from collections.abc import Callable

from dtqs.broker.consumer import Delivery


class Inbox:
    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._lock = threading.Lock()

    def put(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)

    def has_any(self) -> bool:
        return bool(self._waiting)

    def take(self, limit: Callable[[str], int]) -> list[Delivery]:
        """Take the deliveries of one claim: one heavy hint, or light hints of one type with up to `limit(type)` tasks.

        The last hint may exceed the limit. Empty if no delivery waits.
        """
        with self._lock:
            if not self._waiting:
                return []
            first = self._waiting.popleft()
            taken, tasks = [first], len(first.hint.task_ids)
            if first.hint.light:
                most = limit(first.hint.task_type)
                while self._waiting and tasks < most and _alike(first, self._waiting[0]):
                    following = self._waiting.popleft()
                    taken.append(following)
                    tasks += len(following.hint.task_ids)
            return taken

    def drop(self, channel_number: int) -> None:
        """Forget the deliveries of a lost channel."""
        with self._lock:
            kept = [delivery for delivery in self._waiting if delivery.channel_number != channel_number]
            self._waiting.clear()
            self._waiting.extend(kept)

    def empty(self) -> list[Delivery]:
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken


def _alike(one: Delivery, other: Delivery) -> bool:
    return (
        other.hint.light and one.hint.task_type == other.hint.task_type and one.channel_number == other.channel_number
    )
