"""Reclaim when the leases of one dead worker cannot be taken back, and a heartbeat that a late keeper writes."""

from itertools import pairwise
from unittest.mock import MagicMock

import pytest

from dtqs.config import LeaseSection, SupervisorSection
from dtqs.deadline import Deadline
from dtqs.errors import StoreUnavailable
from dtqs.event import LogRef
from dtqs.keeper import reclaim
from dtqs.keeper.reclaim import Node, Reclaim
from dtqs.scoreboard import ChildState, Death, SlotRecord
from dtqs.store.workers import Heartbeat, ProcessTotals


class Trial:
    """Dead workers in a store whose clock a test moves. The rows of `stuck` ones are locked by somebody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stuck: set[str], failure_seconds: float) -> None:
        self.now, self.taken, self.tried = 0.0, list[str](), list[str]()
        self.workers, self.looked_at, self.longest_turn = ["w1", "w2", "w3"], list[float](), 0.0
        self.leases, self.rows = dict[str, float](), list[LogRef]()
        """Lease times that workers have told, and what each take-back returns."""
        self._stuck, self._failure_seconds, self.read_seconds = stuck, failure_seconds, 0.0
        monkeypatch.setattr(reclaim, "time", MagicMock(monotonic=lambda: self.now))
        self.store = MagicMock()
        self.store.workers.heartbeats.side_effect = self._heartbeats
        self.store.workers.former.side_effect = lambda *_: self.left
        self.store.leases.reclaim.side_effect = self._take_back
        node = Node("node", "boot", tuple, lambda *_: None)
        self.totals = ProcessTotals()
        self.reclaim = Reclaim(self.store, MagicMock(), self.totals, LeaseSection(), SupervisorSection(), node)

    @property
    def left(self) -> list[str]:
        return [worker for worker in self.workers if worker not in self.taken]

    def _heartbeats(self) -> dict[str, Heartbeat]:
        self.looked_at.append(self.now)
        self.now += self.read_seconds
        return {worker: Heartbeat("one and the same", self.leases.get(worker, 0.0)) for worker in self.left}

    def _take_back(self, worker_id: str, *_: object, deadline: Deadline) -> list[LogRef]:
        assert deadline.passed, "the store repeats nothing by itself"
        self.tried.append(worker_id)
        if worker_id in self._stuck:
            self.now += self._failure_seconds
            raise StoreUnavailable("statement timeout")
        self.taken.append(worker_id)
        return self.rows

    def turns(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            began, pause = self.now, 2.5
            try:
                if self.reclaim.turn():
                    pause = 0.0
            except StoreUnavailable:
                pause = 1.0
            self.longest_turn = max(self.longest_turn, self.now - began)
            self.now += pause


@pytest.mark.parametrize("failure_seconds", [0.01, 22.0])
@pytest.mark.parametrize("stuck", ["w1", "w2", "w3"])
def test_a_worker_whose_leases_cannot_be_taken_back_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, stuck: str, failure_seconds: float
) -> None:
    trial = Trial(monkeypatch, {stuck}, failure_seconds)
    trial.turns(120.0)
    assert set(trial.taken) == {"w1", "w2", "w3"} - {stuck}
    trial._stuck.clear()
    trial.turns(120.0)
    assert trial.left == []


def test_slow_reads_that_keep_a_keeper_from_judging_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trial = Trial(monkeypatch, set(), 0.0)
    trial.read_seconds = 1.5
    trial.turns(120.0)
    assert trial.taken == []
    told = [record for record in caplog.records if "no worker is judged" in record.message]
    assert [vars(record)["read_seconds"] for record in told] == [1.5]
    trial.read_seconds = 0.0
    trial.turns(40.0)
    assert len(trial.taken) == 3


def test_several_workers_that_fail_delay_no_turn_for_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """This node vouches for its silent workers in each turn, so no two turns may be a lease apart."""
    trial = Trial(monkeypatch, {"w1", "w2", "w3"}, 22.0)
    trial.workers.append("w4")
    trial.turns(400.0)
    assert trial.longest_turn < 30.0
    assert max(later - earlier for earlier, later in pairwise(trial.looked_at)) < 30.0
    assert trial.taken == ["w4"]
    assert set(trial.tried) == {"w1", "w2", "w3", "w4"}


def test_a_worker_that_failed_comes_after_one_that_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, {"w1"}, 22.0)
    trial.workers = ["w1"]
    trial.turns(40.0)
    assert trial.tried == ["w1"]
    trial.workers = []
    trial.reclaim.former()
    trial.workers = ["w1", "w2"]
    trial.turns(120.0)
    assert trial.tried[1] == "w2"


def test_a_worker_that_failed_comes_last_also_after_its_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, {"w1"}, 11.0)
    trial.workers = ["w1"]
    trial.reclaim.former()
    trial.turns(10.0)
    trial.now += 100.0
    trial.workers = ["w1", "w2"]
    trial.reclaim.former()
    with pytest.raises(StoreUnavailable):
        trial.reclaim.turn()
    assert trial.tried == ["w1", "w2", "w1"]


def test_former_workers_are_taken_back_beside_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, {"w1"}, 0.01)
    trial.reclaim.former()
    with pytest.raises(StoreUnavailable):
        trial.reclaim.turn()
    assert trial.taken == ["w2", "w3"]
    trial._stuck.clear()
    trial.turns(100.0)
    assert trial.left == []


def test_a_former_worker_that_fails_does_not_keep_the_judge_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, {"w1"}, 11.0)
    trial.workers = ["w1"]
    trial.reclaim.former()
    trial.turns(10.0)
    trial.workers = ["w1", "w2"]
    trial.turns(60.0)
    assert trial.taken == ["w2"]


def test_many_workers_that_fail_leave_the_judge_time_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, {f"s{number}" for number in range(8)}, 11.0)
    trial.workers = sorted(trial._stuck)
    trial.turns(150.0)
    trial.workers.append("w9")
    trial.turns(130.0)
    assert trial.taken == ["w9"]
    trial.turns(600.0)
    assert len(set(trial.tried[-8:])) == 8, "each has its turn"
    trial._stuck.clear()
    trial.turns(130.0)
    assert trial.left == []


def test_an_outage_lets_no_worker_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, {"w1"}, 11.0)
    trial.reclaim.former()
    trial.turns(10.0)
    trial._stuck.clear()
    heartbeats, trial.store.workers.heartbeats.side_effect = (
        trial.store.workers.heartbeats.side_effect,
        StoreUnavailable("away"),
    )
    with pytest.raises(StoreUnavailable):
        trial.reclaim.turn()
    trial.store.workers.heartbeats.side_effect = heartbeats
    trial.reclaim.turn()
    assert trial.left == []


def test_a_former_worker_that_failed_is_tried_again_with_the_death_that_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial = Trial(monkeypatch, {"w1"}, 11.0)
    known = Death("w1", "its supervisor ended", None, idle=True, blamed=False)
    trial.reclaim._known["w1"] = known
    trial.workers = ["w1"]
    trial.reclaim.former()
    trial.turns(100.0)
    assert [call.args[2] for call in trial.store.leases.reclaim.call_args_list] == [known, known]


def test_the_outcomes_of_a_take_back_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, set(), 0.0)
    trial.workers = ["w1"]
    trial.rows = [(1, "a", "failed"), (2, "b", "cancelled"), (3, "c", "pending"), (4, "d", "failed")]
    trial.turns(40.0)
    totals = trial.totals
    assert (totals.reclaimed, totals.failed, totals.cancelled, totals.completed) == (4, 2, 1, 0)


def test_a_worker_with_a_longer_lease_than_this_keeper_is_judged_by_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its attempt goes on for that time: otherwise it would run beside the next one."""
    trial = Trial(monkeypatch, set(), 0.0)
    trial.workers, trial.leases = ["long", "short", "of older code"], {"long": 600.0, "short": 10.0}
    trial.turns(40.0)
    assert trial.taken == ["short", "of older code"]
    trial.turns(550.0)
    assert trial.left == ["long"]
    trial.turns(20.0)
    assert trial.left == []
    causes = [str(call.args[1].cause) for call in trial.store.leases.reclaim.call_args_list]
    assert causes == ["no heartbeat for 30 s", "no heartbeat for 30 s", "no heartbeat for 600 s"]


def test_a_node_promises_a_silent_worker_no_more_than_its_own_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keepers of other nodes may have a shorter lease than this one: they go by the worker's."""
    told = list[tuple[str, float]]()
    record = SlotRecord(7, 0.0, 1000.0, ChildState.READY, deaths_settled=True, worker_id="w1", task_id=None)
    trial = Trial(monkeypatch, set(), 0.0)
    trial.workers, trial.leases = ["w1"], {"w1": 10.0}
    monkeypatch.setattr(reclaim, "is_sibling", lambda _: True)
    trial.store.workers.vouch.side_effect = lambda silent: silent
    node = Node("node", "boot", lambda: [record], lambda *vouched: told.append(vouched))
    trial.reclaim = Reclaim(trial.store, MagicMock(), trial.totals, LeaseSection(), SupervisorSection(), node)
    trial.turns(30.0)
    assert told
    assert {until - at for (_, until), at in zip(told, trial.looked_at[-len(told) :], strict=True)} == {10.0}
