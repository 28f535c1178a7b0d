"""Reclaim when the leases of one dead worker cannot be taken back, and a heartbeat that a late keeper writes."""

from itertools import pairwise
from unittest.mock import MagicMock

import pytest

from dtqs.config import LeaseSection, SupervisorSection
from dtqs.deadline import Deadline
from dtqs.errors import StoreUnavailable
from dtqs.keeper import reclaim
from dtqs.keeper.reclaim import Node, Reclaim
from dtqs.scoreboard import Death


class Trial:
    """Dead workers in a store whose clock a test moves. The rows of `stuck` ones are locked by somebody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stuck: set[str], failure_seconds: float) -> None:
        self.now, self.taken, self.tried = 0.0, list[str](), list[str]()
        self.workers, self.looked_at, self.longest_turn = ["w1", "w2", "w3"], list[float](), 0.0
        self._stuck, self._failure_seconds, self.read_seconds = stuck, failure_seconds, 0.0
        monkeypatch.setattr(reclaim, "time", MagicMock(monotonic=lambda: self.now))
        self.store = MagicMock()
        self.store.workers.heartbeats.side_effect = self._heartbeats
        self.store.workers.former.side_effect = lambda *_: self.left
        self.store.leases.reclaim.side_effect = self._take_back
        node = Node("node", "boot", tuple, lambda *_: None)
        self.reclaim = Reclaim(self.store, MagicMock(), MagicMock(), LeaseSection(), SupervisorSection(), node)

    @property
    def left(self) -> list[str]:
        return [worker for worker in self.workers if worker not in self.taken]

    def _heartbeats(self) -> dict[str, str]:
        self.looked_at.append(self.now)
        self.now += self.read_seconds
        return dict.fromkeys(self.left, "one and the same")

    def _take_back(self, worker_id: str, *_: object, deadline: Deadline) -> list[object]:
        assert deadline.passed, "the store repeats nothing by itself"
        self.tried.append(worker_id)
        if worker_id in self._stuck:
            self.now += self._failure_seconds
            raise StoreUnavailable("statement timeout")
        self.taken.append(worker_id)
        return []

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
