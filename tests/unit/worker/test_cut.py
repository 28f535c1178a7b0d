"""The cut of a batch that takes long: finished outcomes are written, and tasks that have not begun are given back."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from unittest.mock import MagicMock

import pytest

from dtqs.config import LeaseSection
from dtqs.errors import LeaseLost, StoreUnavailable
from dtqs.settlement import Kind, Settlement
from dtqs.store.workers import ProcessTotals
from dtqs.task import Claimed
from dtqs.worker.beat import Beat, BeatParts
from dtqs.worker.finisher import Finisher
from dtqs.worker.hold import Hold
from dtqs.worker.reports import WorkerReporter

TASKS = [Claimed(f"t{number}", "echo", "{}", 1, 5, None, True) for number in range(5)]


class Worker:
    """The parts of a worker around a store that a test answers for."""

    def __init__(self) -> None:
        self.store, self.link, self.totals, self.hold = MagicMock(), MagicMock(), ProcessTotals(), Hold()
        self.store.leases.landed.return_value = []
        self.finisher = Finisher("w", self.store, self.link, self.hold, self.totals, lambda: False)
        parts: list[Any] = [MagicMock() for _ in range(3)]
        self.beat = Beat(
            BeatParts(
                parts[0],
                self.store,
                self.link,
                self.hold,
                parts[1],
                self.finisher,
                MagicMock(),
                self.totals,
                *parts[1:],
            ),
            LeaseSection(),
            0.0,
            lambda: False,
        )
        self.hold.begin("L", TASKS)

    def complete(self, tasks: Sequence[Claimed]) -> None:
        for task in tasks:
            assert self.hold.start(task)
            self.hold.end(Settlement(task.task_id, Kind.COMPLETED, "1"))

    def cut(self) -> None:
        time.sleep(0.001)  # the clock must move: a moment here is no time
        with suppress(StoreUnavailable):
            self.beat._give_away_late_work()

    def lose_a_reply(self, *kinds: Kind) -> None:
        """Cut behind tasks that have ended in these ways: the reply is lost, and the repetition finds no lease."""
        self.store.leases.finish_part.side_effect = [StoreUnavailable("no reply"), []]
        for task, kind in zip(TASKS, kinds, strict=False):
            assert self.hold.start(task)
            self.hold.end(Settlement(task.task_id, kind, "1"))
        self.hold.start(TASKS[len(kinds)])
        for _ in range(3):
            self.cut()
        assert self.hold.earlier_id is None

    @property
    def parts(self) -> list[Any]:
        return list(self.store.leases.finish_part.call_args_list)


@pytest.mark.parametrize("slow", range(5))
def test_the_outcomes_before_a_long_task_are_written_wherever_it_stands(slow: int) -> None:
    worker = Worker()
    worker.store.leases.finish_part.side_effect = lambda _, __, ___, settled, ____: [
        (1, one.task_id, "completed") for one in settled
    ]
    worker.complete(TASKS[:slow])
    worker.hold.start(TASKS[slow])
    for _ in range(3):
        worker.cut()
    (call,) = worker.parts
    assert [one.task_id for one in call.args[3]] == [task.task_id for task in TASKS[:slow]]
    assert call.args[4] == [TASKS[slow].task_id]
    assert worker.totals.completed == slow


def test_a_task_alone_in_its_claim_stays_under_its_lease() -> None:
    worker = Worker()
    worker.hold.begin("L", TASKS[:1])
    worker.hold.start(TASKS[0])
    worker.cut()
    assert worker.parts == []
    assert worker.hold.lease_id == "L"


def test_a_part_whose_reply_was_lost_is_counted_and_announced_once() -> None:
    worker = Worker()
    worker.store.leases.landed.return_value = [(None, "t0", "completed"), (None, "t1", "completed")]
    worker.lose_a_reply(Kind.COMPLETED, Kind.COMPLETED)
    assert (worker.totals.completed, worker.totals.given_back) == (2, 2)
    worker.link.publish_events_now.assert_called_once()
    worker.store.backlog.due.assert_called_once_with(["t3", "t4"])


def test_a_part_that_others_have_settled_is_not_counted() -> None:
    worker = Worker()
    worker.lose_a_reply(Kind.COMPLETED, Kind.COMPLETED)
    assert (worker.totals.completed, worker.totals.given_back) == (0, 0)
    worker.link.publish_events_now.assert_not_called()


def test_an_unspent_attempt_hides_no_other_task_of_a_part_whose_reply_was_lost() -> None:
    worker = Worker()
    worker.store.leases.landed.side_effect = lambda _, ids: [
        (None, task_id, "completed") for task_id in ids if task_id != "t1"
    ]
    worker.lose_a_reply(Kind.COMPLETED, Kind.UNSPENT)
    assert (worker.totals.completed, worker.totals.given_back) == (1, 3)
    worker.store.backlog.due.assert_called_once_with(["t1", "t3", "t4"])


@pytest.mark.parametrize("kinds", [[], [Kind.UNSPENT]])
def test_a_part_without_spent_attempts_gets_hints_and_counts_nothing(kinds: list[Kind]) -> None:
    """Nothing tells whether this worker has given its tasks back, or others have settled them."""
    worker = Worker()
    worker.lose_a_reply(*kinds)
    assert worker.totals.given_back == 0
    (call,) = worker.store.backlog.due.call_args_list
    assert sorted(call.args[0]) == sorted(task.task_id for task in TASKS if task.task_id != f"t{len(kinds)}")
    worker.link.publish_events_now.assert_not_called()


@pytest.mark.parametrize("lands_late", [False, True])
def test_the_end_of_the_running_task_announces_a_part_whose_reply_was_lost(lands_late: bool) -> None:
    worker = Worker()
    worker.store.leases.finish_part.side_effect = StoreUnavailable("no reply")
    worker.complete(TASKS[:2])
    worker.hold.start(TASKS[2])
    worker.cut()
    worker.hold.end(Settlement("t2", Kind.COMPLETED, "1"))
    answers = iter([[], [], [(9, "t2", "completed")]] if lands_late else [[(9, "t2", "completed")]])
    worker.store.leases.finish.side_effect = lambda *_: next(answers)
    worker.store.leases.landed.side_effect = lambda _, ids: [(None, task_id, "completed") for task_id in ids]
    assert worker.finisher.finish()
    assert (worker.totals.completed, worker.totals.given_back) == (3, 2)
    (call,) = worker.link.publish_events_now.call_args_list
    assert [task_id for _, task_id, _ in call.args[0]] == ["t2", "t0", "t1", "t3", "t4"]
    worker.store.backlog.due.assert_called_once_with(["t3", "t4"])


@pytest.mark.parametrize("lands_at_try", [1, 2, 3])
def test_a_report_finds_its_lease_whenever_the_part_that_moves_it_lands(lands_at_try: int) -> None:
    worker = Worker()
    worker.store.leases.finish_part.side_effect = StoreUnavailable("away")
    worker.hold.start(TASKS[0])
    worker.cut()
    assert worker.hold.lease_id != "L"
    tried = list[str]()

    def report(lease_id: str, *_: object) -> int:
        tried.append(lease_id)
        if (lease_id == "L") == (len(tried) >= lands_at_try):
            raise LeaseLost(lease_id)
        return 7

    worker.store.leases.report.side_effect = report
    WorkerReporter(worker.store, worker.link, worker.hold, MagicMock()).progress("t0", 1, 0.5, "half")
    worker.link.publish_events.assert_called_once_with([(7, "t0", "progress")])
