"""The start of a worker: one death that cannot be settled holds up neither the others nor the slot."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtqs.deadline import Stop
from dtqs.errors import StoreUnavailable
from dtqs.event import LogRef
from dtqs.scoreboard import Death, Scoreboard
from dtqs.store.workers import ProcessTotals
from dtqs.uuid7 import uuid7
from dtqs.worker.arrival import Waiting
from dtqs.worker.startup import Startup

LOCKED, FREE, TASK = uuid7(), uuid7(), uuid7()


class Store:
    """Answers all but the first `downs` reads. The next take-backs from LOCKED fail with `fails`."""

    def __init__(self, fails: list[Exception], downs: int = 0) -> None:
        self.fails, self.downs, self.asked = fails, downs, 0
        self.final: list[Sequence[str]] = []
        self.leases = SimpleNamespace(reclaim=self._reclaim, requests_of=lambda ids: [])
        self.database = SimpleNamespace(schema_refusal=self._schema_refusal)

    def _schema_refusal(self) -> None:
        self.asked += 1
        if self.asked <= self.downs:
            raise StoreUnavailable("down")

    def _reclaim(self, worker_id: str, error: Exception, death: Death, final_types: Sequence[str]) -> list[LogRef]:
        if worker_id == LOCKED and self.fails:
            raise self.fails.pop(0)
        self.final.append(final_types)
        return [(1, TASK, "pending")]


def settle(
    store: Store, monkeypatch: pytest.MonkeyPatch, cause: str = "signal 9 (SIGKILL)"
) -> tuple[list[LogRef], bool]:
    """Settle both deaths. Return the log rows, and whether the supervisor learns that they are settled."""
    monkeypatch.setattr("dtqs.worker.startup._AGAIN_SECONDS", 0.0)
    board = Scoreboard(1)
    slot = board.slot(0)
    slot.begin()
    deaths = tuple(Death(worker_id, cause, TASK, idle=False) for worker_id in (LOCKED, FREE))
    seat = cast(Any, SimpleNamespace(slot=slot, deaths=deaths))
    startup = Startup(seat, cast(Any, None), cast(Any, store), Waiting(slot), Stop(), ["video"])
    return startup.settle_deaths(ProcessTotals()), board.read(0).deaths_settled


@pytest.mark.parametrize("error", [StoreUnavailable("a row is locked"), ValueError("a damaged lease")])
def test_a_death_whose_take_back_fails_is_left_to_a_keeper(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settle(Store([error] * 1000), monkeypatch) == ([(1, TASK, "pending")], True)


def test_an_outage_of_postgresql_leaves_no_death_to_a_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, told = settle(Store([StoreUnavailable("gone")] * 2, downs=50), monkeypatch)
    assert (len(rows), told) == (2, True)


@pytest.mark.parametrize(("cause", "final"), [("time limit", ["video"]), ("signal 9 (SIGKILL)", ())])
def test_only_a_death_by_a_time_limit_is_final_for_types_without_a_retry(
    cause: str, final: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store([])
    settle(store, monkeypatch, cause)
    assert store.final == [final, final]
