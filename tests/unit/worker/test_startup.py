"""The start of a worker: one death that cannot be settled holds up neither the others nor the slot."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtqs.deadline import Deadline, Stop
from dtqs.errors import CommitUnknown, StoreUnavailable
from dtqs.event import LogRef
from dtqs.scoreboard import Death, Scoreboard
from dtqs.store.workers import ProcessTotals
from dtqs.uuid7 import uuid7
from dtqs.worker.arrival import Waiting
from dtqs.worker.own_lease import OwnLease
from dtqs.worker.startup import Startup

LOCKED, FREE, TASK = uuid7(), uuid7(), uuid7()
BOOT_SECONDS, LEFT = 60.0, "take-back left to a keeper"


class Store:
    """Answers all but the first `downs` looks. The next take-backs from LOCKED fail with `fails`.

    Each failure takes `failure_seconds` by the clock of this store. An answered look before `writes_from` finds a
    read-only server.
    """

    def __init__(
        self, fails: list[Exception], downs: int = 0, failure_seconds: float = 0.0, writes_from: int = 0
    ) -> None:
        self.fails, self.downs, self.asked = fails, downs, 0
        self.failure_seconds, self.writes_from, self.now = failure_seconds, writes_from, 0.0
        self.final: list[Sequence[str]] = []
        self.deadlines: list[Deadline] = []
        self.tried: list[str] = []
        self.leases = SimpleNamespace(reclaim=self._reclaim, requests_of=lambda ids: [])
        self.database = SimpleNamespace(state=self._state)

    def _state(self, deadline: Deadline) -> tuple[None, bool]:
        self.asked += 1
        if self.is_down:
            raise StoreUnavailable("down")
        return None, self.asked <= self.writes_from

    @property
    def is_down(self) -> bool:
        return self.asked <= self.downs

    def _reclaim(
        self, worker_id: str, error: Exception, death: Death, final_types: Sequence[str], deadline: Deadline
    ) -> list[LogRef]:
        self.tried.append(worker_id)
        self.deadlines.append(deadline)
        if self.is_down:
            raise StoreUnavailable("down")
        if self.asked <= self.writes_from:
            raise StoreUnavailable("cannot execute UPDATE in a read-only transaction")
        if worker_id == LOCKED and self.fails:
            self.now += self.failure_seconds
            raise self.fails.pop(0)
        self.final.append(final_types)
        return [(1, TASK, "pending")]


def settle(
    store: Store, monkeypatch: pytest.MonkeyPatch, cause: str = "signal 9 (SIGKILL)"
) -> tuple[list[LogRef], bool]:
    """Settle both deaths. Return the log rows, and whether the supervisor learns that they are settled."""
    monkeypatch.setattr("dtqs.worker.startup._AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("dtqs.worker.startup.time", SimpleNamespace(monotonic=lambda: store.now))
    board = Scoreboard(1)
    slot = board.slot(0)
    slot.begin()
    deaths = tuple(Death(worker_id, cause, TASK, idle=False) for worker_id in (LOCKED, FREE))
    seat = cast(Any, SimpleNamespace(slot=slot, deaths=deaths))
    startup = Startup(seat, cast(Any, None), cast(Any, store), Waiting(slot), Stop(), BOOT_SECONDS, ["video"])
    return startup.settle_deaths(ProcessTotals()), board.read(0).deaths_settled


@pytest.mark.parametrize("error", [StoreUnavailable("a row is locked"), ValueError("a damaged lease")])
def test_a_death_whose_take_back_fails_is_left_to_a_keeper(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store([error] * 1000)
    assert settle(store, monkeypatch) == ([(1, TASK, "pending")], True)
    assert store.tried == [LOCKED, FREE, LOCKED, LOCKED]
    assert LEFT in caplog.messages


def test_a_locked_row_delays_the_start_by_far_less_than_the_supervisor_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store([StoreUnavailable("a row is locked")] * 1000, failure_seconds=12.0)
    assert settle(store, monkeypatch) == ([(1, TASK, "pending")], True)
    assert store.now <= BOOT_SECONDS / 2
    assert all(deadline.passed for deadline in store.deadlines), "the store repeats nothing by itself"


@pytest.mark.parametrize("outage", [{"downs": 50}, {"writes_from": 50}])
def test_an_outage_of_postgresql_leaves_no_death_to_a_keeper(
    outage: dict[str, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows, told = settle(Store([StoreUnavailable("gone")] * 2, **outage), monkeypatch)
    assert (len(rows), told) == (2, True)
    assert LEFT not in caplog.messages


def test_a_commit_without_a_reply_is_asked_for_again_until_there_is_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows, told = settle(Store([CommitUnknown("no reply within 12 s")] * 20, failure_seconds=12.0), monkeypatch)
    assert (len(rows), told) == (2, True)
    assert LEFT not in caplog.messages


@pytest.mark.parametrize(("cause", "final"), [("time limit", ["video"]), ("signal 9 (SIGKILL)", ())])
def test_only_a_death_by_a_time_limit_is_final_for_types_without_a_retry(
    cause: str, final: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store([])
    settle(store, monkeypatch, cause)
    assert store.final == [final, final]


class SlowStart:
    """A store whose steps wait for PostgreSQL for some seconds of its own clock, and answer then."""

    def __init__(self, register_seconds: float, warm_up_seconds: float) -> None:
        self.now, self.registered = 1000.0, list[float]()
        self._up_at, self._warm_up_seconds = 1000.0 + register_seconds, warm_up_seconds
        self.workers = SimpleNamespace(register=self._register)
        self.leases = SimpleNamespace(warm_up=self._warm_up)

    def _register(self, _: object) -> None:
        if self.now < self._up_at:
            self.now += 12.0
            raise StoreUnavailable("down")
        self.registered.append(self.now)
        self.now += 0.01

    def _warm_up(self, _: str) -> None:
        self.now += self._warm_up_seconds


@pytest.mark.parametrize(("register_seconds", "warm_up_seconds"), [(0.0, 0.0), (3600.0, 0.0), (0.0, 40.0)])
def test_the_lease_of_a_new_worker_begins_after_its_wait(
    register_seconds: float, warm_up_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it has ended before the worker is ready, and the supervisor kills it."""
    store = SlowStart(register_seconds, warm_up_seconds)
    monkeypatch.setattr("dtqs.worker.startup._AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("dtqs.worker.startup.time", SimpleNamespace(monotonic=lambda: store.now))
    board = Scoreboard(1)
    slot = board.slot(0)
    slot.begin()
    seat, identity = cast(Any, SimpleNamespace(slot=slot, deaths=())), cast(Any, SimpleNamespace(worker_id=uuid7()))
    lease = OwnLease(slot, 30.0)
    assert Startup(seat, identity, cast(Any, store), Waiting(slot), Stop(), BOOT_SECONDS).register(lease)
    assert not lease.is_ending(store.now)
    assert board.read(0).held_until == pytest.approx(store.registered[-1] + 30.0)
