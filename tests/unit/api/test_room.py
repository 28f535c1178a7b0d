"""Room under max_pending: how often PostgreSQL is asked, and how requests in progress count."""

import pytest

from dtqs.api.submit.room import Room
from dtqs.errors import TooManyRequests


class Counter:
    """Stand in for the store's count: every key has `pending` tasks."""

    def __init__(self, pending: int) -> None:
        self.pending, self.asked = pending, 0

    def __call__(self, key_id: str, limit: int) -> int:
        self.asked += 1
        return min(self.pending, limit)


def test_far_below_the_ceiling_few_submits_ask_postgresql() -> None:
    counter = Counter(0)
    room = Room(counter)
    for _ in range(600):
        with room.taken("a", 10_000, 1):
            counter.pending += 1
    assert counter.asked < 20


def test_near_the_ceiling_each_submit_asks_and_the_ceiling_holds() -> None:
    counter = Counter(8)
    room = Room(counter)
    for _ in range(2):
        with room.taken("a", 10, 1):
            counter.pending += 1
    for _ in range(3):
        with pytest.raises(TooManyRequests, match="10 pending tasks; at most 10"), room.taken("a", 10, 1):
            pass
    counter.pending = 5
    with room.taken("a", 10, 5):
        pass


def test_submits_in_progress_count() -> None:
    room = Room(Counter(8))
    with room.taken("a", 10, 1), room.taken("a", 10, 1), pytest.raises(TooManyRequests), room.taken("a", 10, 1):
        pass


def test_tasks_accepted_while_the_count_runs_are_counted() -> None:
    counter = Counter(0)
    room = Room(counter)
    with room.taken("a", 4, 1):
        pass

    def count(key_id: str, limit: int) -> int:
        room._count = counter
        with room.taken("a", 4, 3):  # committed after the other submit's snapshot, and gone before its answer
            pass
        return 0

    room._count = count
    with pytest.raises(TooManyRequests), room.taken("a", 4, 2):
        pass


def test_each_key_has_room_of_its_own() -> None:
    room = Room(Counter(0))
    with room.taken("a", 1, 1), room.taken("b", 1, 1):
        pass
