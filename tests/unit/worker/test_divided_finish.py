"""A finish that waits in vain for a locked row: the free tasks of its batch are settled as a part."""

from collections.abc import Sequence
from unittest.mock import MagicMock

import pytest

from dtqs.errors import StoreRefused, StoreUnavailable
from dtqs.event import LogRef
from dtqs.settlement import Kind, Settlement
from dtqs.store.driver.failures import StoreBlocked
from dtqs.store.workers import ProcessTotals
from dtqs.task import Claimed
from dtqs.worker.finisher import Finisher
from dtqs.worker.hold import Hold

TASKS = [Claimed(f"t{number}", "echo", "{}", 1, 5, None, True) for number in range(4)]
LOCKED = StoreBlocked("canceling statement due to statement timeout")


def rows(task_ids: Sequence[str], event: str = "completed") -> list[LogRef]:
    return [(1, task_id, event) for task_id in task_ids]


class Batch:
    """A batch of four tasks. The last one was not begun, and somebody has locked the row of the first one."""

    def __init__(self) -> None:
        self.store, self.totals, self.hold = MagicMock(), ProcessTotals(), Hold()
        self.leases = self.store.leases
        self.leases.free.return_value = {"t1", "t2", "t3"}
        self.leases.landed.return_value = []
        self.stopped = False
        self.finisher = Finisher("w", self.store, MagicMock(), self.hold, self.totals, lambda: self.stopped)
        self.hold.known.add("L")
        self.hold.begin("L", TASKS)
        for task in TASKS[:3]:
            self.hold.start(task)
            self.hold.end(Settlement(task.task_id, Kind.COMPLETED, "1"))

    def finished(self) -> list[tuple[str, list[str]]]:
        """Return each finish: its lease, and the tasks that it named."""
        return [(call.args[0], [one.task_id for one in call.args[1]]) for call in self.leases.finish.call_args_list]

    def parts(self) -> list[tuple[str, list[str], list[str]]]:
        """Return each part: its lease, the tasks that it named, and those that it kept."""
        return [
            (call.args[1], [one.task_id for one in call.args[3]], list(call.args[4]))
            for call in self.leases.finish_part.call_args_list
        ]


PART = rows(["t1", "t2"]) + rows(["t3"], "pending")


def test_free_outcomes_are_written_and_the_locked_one_is_held() -> None:
    batch = Batch()
    batch.leases.finish.side_effect = [LOCKED, LOCKED, rows(["t0"])]
    batch.leases.finish_part.return_value = PART
    assert batch.finisher.finish()
    following = batch.leases.finish_part.call_args.args[2]
    assert batch.parts() == [("L", ["t1", "t2"], ["t0"])]
    assert batch.finished() == [("L", ["t0", "t1", "t2"]), (following, ["t0"]), (following, ["t0"])]
    assert (batch.totals.completed, batch.totals.given_back) == (3, 1)
    assert (batch.hold.lease_id, batch.hold.known) == (None, set())


def test_a_part_that_met_another_lock_is_undone_and_divided_anew() -> None:
    batch = Batch()
    batch.leases.finish.side_effect = [LOCKED, LOCKED, rows(["t0", "t1"])]
    batch.leases.finish_part.side_effect = [LOCKED, rows(["t2"]) + rows(["t3"], "pending")]
    batch.leases.free.side_effect = [{"t1", "t2", "t3"}, {"t2", "t3"}]
    assert batch.finisher.finish()
    assert batch.parts() == [("L", ["t1", "t2"], ["t0"]), ("L", ["t2"], ["t0", "t1"])]
    assert (batch.totals.completed, batch.totals.given_back) == (3, 1)


@pytest.mark.parametrize("committed", [True, False])
def test_a_part_whose_reply_was_lost_is_settled_once(committed: bool) -> None:
    batch = Batch()
    batch.leases.finish_part.side_effect = [StoreUnavailable("no reply")]
    if committed:
        batch.leases.finish.side_effect = [LOCKED, rows(["t0"])]
        batch.leases.landed.return_value = [(None, task_id, "completed") for task_id in ("t1", "t2")]
    else:
        batch.leases.finish.side_effect = [LOCKED, [], rows(["t0", "t1", "t2"]) + rows(["t3"], "pending")]
    assert batch.finisher.finish()
    assert (batch.totals.completed, batch.totals.given_back) == (3, 1)
    assert (batch.hold.lease_id, batch.hold.known) == (None, set())


def test_a_part_whose_reply_was_lost_is_repeated_as_it_was() -> None:
    batch = Batch()
    batch.leases.finish_part.side_effect = [StoreUnavailable("no reply"), PART]
    batch.leases.finish.side_effect = [LOCKED, LOCKED, rows(["t0"])]
    assert batch.finisher.finish()
    first, second = batch.leases.finish_part.call_args_list
    assert first == second
    assert (batch.totals.completed, batch.totals.given_back) == (3, 1)


def test_an_unknown_error_of_a_part_is_tried_again_as_one_of_the_whole_finish() -> None:
    batch = Batch()
    batch.leases.free.side_effect = [RuntimeError("an error of the driver"), {"t1", "t2", "t3"}]
    batch.leases.finish.side_effect = [LOCKED, LOCKED, rows(["t0"])]
    batch.leases.finish_part.return_value = PART
    assert batch.finisher.finish()
    assert (batch.totals.completed, batch.totals.given_back) == (3, 1)


def test_a_part_with_a_value_that_postgresql_refuses_is_retried_one_by_one() -> None:
    batch = Batch()
    batch.leases.finish.side_effect = [LOCKED, rows(["t0", "t1", "t2", "t3"], "pending")]
    batch.leases.finish_part.side_effect = [StoreRefused("a NUL")]
    assert batch.finisher.finish()
    assert {one.kind for one in batch.leases.finish.call_args.args[1]} == {Kind.RETRY}


def test_a_worker_that_must_stop_writes_the_free_outcomes_first() -> None:
    batch = Batch()
    batch.stopped = True
    batch.leases.finish.side_effect = [LOCKED]
    batch.leases.finish_part.return_value = PART
    assert not batch.finisher.finish()
    assert batch.totals.completed == 2


@pytest.mark.parametrize("free", [set(), {"t0", "t1", "t2", "t3"}])
def test_a_batch_with_no_locked_row_or_no_free_one_is_not_divided(free: set[str]) -> None:
    batch = Batch()
    batch.leases.free.return_value = free
    batch.leases.finish.side_effect = [LOCKED, rows(["t0", "t1", "t2"]) + rows(["t3"], "pending")]
    assert batch.finisher.finish()
    batch.leases.finish_part.assert_not_called()
