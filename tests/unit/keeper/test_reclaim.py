"""Reclaim when the leases of one dead worker cannot be taken back, and a heartbeat that a late keeper writes."""

from unittest.mock import MagicMock

import pytest

from dtqs.config import LeaseSection, SupervisorSection
from dtqs.errors import StoreUnavailable
from dtqs.keeper import reclaim
from dtqs.keeper.reclaim import Node, Reclaim


class Trial:
    """Dead workers in a store whose clock a test moves. The rows of `stuck` ones are locked by somebody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stuck: set[str], failure_seconds: float) -> None:
        self.now, self.taken, self.tried = 0.0, list[str](), list[str]()
        self._stuck, self._failure_seconds = stuck, failure_seconds
        monkeypatch.setattr(reclaim, "time", MagicMock(monotonic=lambda: self.now))
        self.store = MagicMock()
        self.store.workers.heartbeats.side_effect = lambda: dict.fromkeys(self.left, "one and the same")
        self.store.workers.former.side_effect = lambda *_: self.left
        self.store.leases.reclaim.side_effect = self._take_back
        node = Node("node", "boot", tuple, lambda *_: None)
        self.reclaim = Reclaim(self.store, MagicMock(), MagicMock(), LeaseSection(), SupervisorSection(), node)

    @property
    def left(self) -> list[str]:
        return [worker for worker in ("w1", "w2", "w3") if worker not in self.taken]

    def _take_back(self, worker_id: str, *_: object) -> list[object]:
        self.tried.append(worker_id)
        if worker_id in self._stuck:
            self.now += self._failure_seconds
            raise StoreUnavailable("statement timeout")
        self.taken.append(worker_id)
        return []

    def turns(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            try:
                self.reclaim.turn()
            except StoreUnavailable:
                self.now += 1.0
            else:
                self.now += 2.5


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


def test_former_workers_are_taken_back_beside_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, {"w1"}, 0.01)
    with pytest.raises(StoreUnavailable):
        trial.reclaim.former()
    assert trial.taken == ["w2", "w3"]
    trial._stuck = {"w2", "w1"}
    trial.taken.clear()
    with pytest.raises(StoreUnavailable):
        trial.reclaim.former()
    assert trial.tried[-3:] == ["w2", "w3", "w1"], "the one that failed comes last"
