"""Queues that are empty although tasks wait, and idle queues beside a long backlog of others."""

from collections.abc import Sequence
from typing import Any, cast

from dtqs.broker.queue import QueueLook
from dtqs.keeper.repair import Repair
from dtqs.routes import NO_ROUTES, QUEUE, Routes

ROUTES = Routes({"video": "movies", "image": "pictures"})


class Backlog:
    """Tasks with their types, and which of them have a hint. It stands for the store, too."""

    def __init__(self, types: Sequence[str], hinted: bool) -> None:
        self.types, self.hinted = types, [hinted] * len(types)
        self.batches = 0
        self.taken: list[str] = []
        self.left: list[tuple[str, float]] = []

    @property
    def backlog(self) -> "Backlog":
        return self

    @property
    def queues(self) -> "Backlog":
        return self

    def repair(
        self, after: str, limit: int, older: float, types: Sequence[str] = (), routed: bool = False, cut: object = None
    ) -> tuple[str | None, int]:
        self.batches += 1
        begin = int(after) + 1 if after.isdigit() else 0
        batch = range(begin, min(begin + limit, len(self.types)))
        lost = [at for at in batch if not self.hinted[at] and (self.types[at] in types) == routed]
        for at in lost:
            self.hinted[at] = True
        return (str(batch[-1]) if batch else None), len(lost)

    def take_refill(self, queue: str, process_id: str, cut_seconds: float, missed_seconds: float) -> tuple[str, bool]:
        self.taken.append(queue)
        return "a time", False

    def keep_refill(self, queue: str, process_id: str, cut: str, ended: bool = False) -> bool:
        return True

    def left_refills(self, queues: Sequence[str]) -> list[tuple[str, float]]:
        left, self.left = [one for one in self.left if one[0] in queues], []
        return left


class Link:
    """Queues with these numbers of ready hints, look by look; then with the last one."""

    def __init__(self, ready: Sequence[int], queues: Sequence[str] = (QUEUE,)) -> None:
        self.ready, self.queues = list(ready), queues

    def look(self, _: object) -> dict[str, QueueLook]:
        ready = self.ready.pop(0) if len(self.ready) > 1 else self.ready[0]
        return dict.fromkeys(self.queues, QueueLook(ready, 1))


def repair_of(store: Backlog, link: Link, routes: Routes = NO_ROUTES) -> Repair:
    return Repair(cast(Any, store), cast(Any, link), 5.0, "keeper", routes)


def turns_at_once(repair: Repair) -> int:
    """Take turns until one says that the next may wait, and return their number."""
    for number in range(1, 1000):
        if not repair.turn():
            return number
    raise AssertionError("it goes on without end")


def test_a_purged_queue_is_refilled_at_once_although_its_first_hints_are_ready_again() -> None:
    store, link = Backlog(["echo"] * 20_000, hinted=False), Link([0, 0, 500])
    repair = repair_of(store, link)
    assert (turns_at_once(repair), store.hinted[0]) == (1, False), "it may be empty for a moment"
    assert turns_at_once(repair) > 20
    assert all(store.hinted)
    batches = store.batches
    assert (turns_at_once(repair), store.batches) == (1, batches), "then it looks only at the queue"


def test_lost_hints_that_lie_far_apart_are_found_in_one_go() -> None:
    store = Backlog((["video"] + ["echo"] * 1999) * 10, hinted=False)
    repair = repair_of(store, Link([0], ["movies"]), Routes({"video": "movies"}))
    turns_at_once(repair)
    turns_at_once(repair)
    assert [store.hinted[at] for at in range(0, 20_000, 2000)] == [True] * 10
    assert store.hinted.count(True) == 10


def test_a_purge_is_made_good_from_any_place_of_the_look() -> None:
    store, link = Backlog(["echo"] * 10_000, hinted=True), Link([0])
    repair = repair_of(store, link)
    for _ in range(6):
        turns_at_once(repair)
    store.hinted, link.ready = [False] * 10_000, [0, 500]
    turns_at_once(repair)
    assert all(store.hinted)


def test_a_refill_of_a_queue_that_lacks_one_hint_ends_soon() -> None:
    store = Backlog(["echo"] * 1_000_000, hinted=True)
    store.hinted[10] = False
    repair = repair_of(store, Link([0]))
    turns_at_once(repair)
    turns_at_once(repair)
    assert all(store.hinted)
    assert store.batches < 150


def test_idle_queues_share_one_look_at_the_backlog() -> None:
    store = Backlog(["echo"] * 50_000, hinted=False)
    repair = repair_of(store, Link([0], ["movies", "pictures"]), ROUTES)
    for _ in range(21):
        assert not repair.turn()
    assert store.batches == 20
    assert not any(store.hinted), "these tasks have another queue"


def test_the_refill_of_a_process_that_died_goes_on() -> None:
    store = Backlog(["echo"] * 3000, hinted=False)
    store.left = [(QUEUE, 20.0), ("a queue of other routes", 20.0)]
    turns_at_once(repair_of(store, Link([500])))
    assert all(store.hinted)
    assert store.taken == [QUEUE]


def test_a_queue_that_was_lost_is_refilled_to_the_end_of_the_backlog() -> None:
    store = Backlog(["echo"] * 5000 + ["video"] * 200_000 + ["echo"] * 5000, hinted=False)
    repair = repair_of(store, Link([500]), Routes({"video": "movies"}))
    repair.lost(QUEUE, 0.0)
    turns_at_once(repair)
    assert store.hinted.count(True) == 10_000
