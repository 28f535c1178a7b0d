"""Outcomes that cannot be written: a fault in a value ends its task, any other fault ends nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast
from unittest.mock import Mock

import psycopg
import pytest

from dtqs.errors import StoreRefused, StoreUnavailable
from dtqs.event import LogRef, SealedRow
from dtqs.event_seal import KEY_BYTES
from dtqs.settlement import Kind, Settlement
from dtqs.store.leases import HeldLease
from dtqs.store.workers import ProcessTotals
from dtqs.task import Claimed
from dtqs.worker import event_key
from dtqs.worker import finisher as finishers
from dtqs.worker.beat import Beat, BeatParts
from dtqs.worker.finisher import Finisher
from dtqs.worker.hold import Hold
from dtqs.worker.limits import AttemptLimits
from dtqs.worker.reports import WorkerReporter

TASK = Claimed("01929f3a-0000-7000-8000-000000000001", "echo", "{}", 1, 5, None, False)
DONE = Settlement(TASK.task_id, Kind.COMPLETED, "1")


class Faulty:
    """Stand in for a store, its leases and the broker's link. A finish that names a task meets these faults."""

    def __init__(self, *faults: Exception) -> None:
        self.leases = self.backlog = self.queues = self
        self.faults, self.said = list(faults), list[list[Kind]]()

    def finish(self, _: str, settled: Sequence[Settlement]) -> list[LogRef]:
        self.said.append([one.kind for one in settled])
        if settled and self.faults:
            raise self.faults.pop(0)
        return [(1, TASK.task_id, str(settled[0].kind) if settled else "pending")]

    def finish_part(
        self, worker_id: str, lease_id: str, next_id: str, settled: Sequence[Settlement], keep: Sequence[str]
    ) -> list[LogRef]:
        return self.finish(lease_id, settled)

    def due(self, _: Sequence[str]) -> list[Any]:
        return []

    def complete_few(self, _: str, settled: Sequence[Settlement]) -> tuple[list[LogRef], list[str]]:
        return [(1, one.task_id, str(one.kind)) for one in settled], ["{}"]

    def publish_events_now(self, rows: Sequence[LogRef | SealedRow]) -> None:
        self.published = rows


def held(
    store: Faulty, stops: bool = False, tasks: Sequence[Claimed] = (TASK,), has_key: bool = False
) -> tuple[Hold, Finisher, ProcessTotals]:
    hold, totals = Hold(), ProcessTotals()
    hold.begin("a lease", tasks)
    hold.settled = [DONE] * len(tasks)
    link = cast(Any, store)
    finisher = Finisher("a worker", link, link, hold, totals, lambda: stops)
    if has_key:
        finisher.seal.learn(b"k" * KEY_BYTES)
    return hold, finisher, totals


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishers, "_AFTER_FAULT_SECONDS", 0.0)


LIGHT = replace(TASK, light=True, is_new=True)
CLAIMED_BEFORE = replace(LIGHT, is_new=False)
MANY_BYTES = replace(LIGHT, payload='"' + "x" * 1500 + '"')
LARGE = replace(LIGHT, payload='"' + "x" * 5000 + '"')


@pytest.mark.parametrize(
    ("tasks", "has_key", "tells"),
    [
        ([LIGHT], True, True),
        ([LIGHT] * 4, True, True),
        ([LIGHT] * 5, True, False),
        ([LIGHT], False, False),
        ([LARGE], True, False),
        ([MANY_BYTES] * 2, True, True),
        ([MANY_BYTES] * 3, True, False),
        ([TASK], True, False),
        ([CLAIMED_BEFORE], True, False),
    ],
    ids=["one", "a few", "many", "no key", "large", "small together", "large together", "heavy", "claimed before"],
)
def test_the_event_of_a_few_light_and_small_tasks_carries_their_outcomes(
    tasks: list[Claimed], has_key: bool, tells: bool
) -> None:
    store = Faulty()
    _, finisher, totals = held(store, tasks=tasks, has_key=has_key)
    assert finisher.finish()
    assert (
        (store.published[-1] == finisher.seal.row(["{}"]))
        if tells
        else store.published == [(1, TASK.task_id, "completed")]
    )
    assert totals.completed == (len(tasks) if tells else 1)
    assert store.said == ([] if tells else [[Kind.COMPLETED] * len(tasks)])


def test_outcomes_of_many_bytes_are_not_carried() -> None:
    """Tags count too, and one character may have four bytes."""
    store = Faulty()
    store.complete_few = lambda *_: ([(1, LIGHT.task_id, "completed")], ["\N{GRINNING FACE}" * 5000])  # type: ignore
    _, finisher, totals = held(store, tasks=[LIGHT], has_key=True)
    assert finisher.finish()
    assert store.published == [(1, LIGHT.task_id, "completed")]
    assert totals.completed == 1


def test_a_result_of_many_characters_is_not_carried() -> None:
    store = Faulty()
    hold, finisher, _ = held(store, tasks=[LIGHT], has_key=True)
    hold.settled = [replace(DONE, value='"' + "x" * 5000 + '"')]
    assert finisher.finish()
    assert store.said == [[Kind.COMPLETED]]


def test_a_task_that_has_reported_is_not_told() -> None:
    """A stream must send its log rows first."""
    store = Faulty()
    store.report = lambda *_: 7  # type: ignore[attr-defined]
    store.publish_events = lambda _: None  # type: ignore[attr-defined]
    hold, finisher, _ = held(store, tasks=[LIGHT], has_key=True)
    limits = AttemptLimits(cast(Any, Mock()), 1.0)
    hold.start(LIGHT)
    WorkerReporter(cast(Any, store), cast(Any, store), hold, limits).progress(LIGHT.task_id, 1, 0.5, "half")
    assert finisher.finish()
    assert store.said == [[Kind.COMPLETED]]
    hold.begin("another lease", [LIGHT])
    assert not hold.reported


def test_outcomes_with_files_or_without_an_end_are_not_told() -> None:
    for odd in (replace(DONE, files=cast(Any, ("a file",))), replace(DONE, kind=Kind.RETRY)):
        store = Faulty()
        hold, finisher, _ = held(store, tasks=[LIGHT], has_key=True)
        hold.settled = [odd]
        assert finisher.finish()
        assert store.said == [[odd.kind]]


FAULTS = [MemoryError(), psycopg.ProgrammingError("a changed schema"), KeyError("a bug"), StoreUnavailable("away")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_fault_outside_the_value_is_retried(fault: Exception) -> None:
    store = Faulty(fault, fault)
    hold, finisher, totals = held(store)
    assert finisher.finish()
    assert store.said == [[Kind.COMPLETED]] * 3
    assert (totals.completed, totals.failed, hold.lease_id) == (1, 0, None)


def test_after_many_faults_the_lease_is_given_back_without_an_outcome() -> None:
    store = Faulty(*[MemoryError()] * 1000)
    hold, finisher, totals = held(store)
    assert finisher.finish()
    assert store.said[-2:] == [[Kind.COMPLETED], []]
    assert len(store.said) == finishers._MOST_FAULTS + 1
    assert (totals.completed, totals.failed, totals.given_back, hold.lease_id) == (0, 0, 1, None)


def test_a_worker_that_must_stop_retries_no_fault() -> None:
    _, finisher, _ = held(Faulty(MemoryError()), stops=True)
    assert not finisher.finish()


@pytest.mark.parametrize(
    "fault",
    [StoreRefused("a NUL"), TypeError("no text"), ValueError("a surrogate")],
    ids=lambda fault: type(fault).__name__,
)
def test_a_value_that_cannot_be_stored_fails_its_task(fault: Exception) -> None:
    store = Faulty(fault)
    _, finisher, totals = held(store)
    assert finisher.finish()
    assert (store.said, totals.failed) == ([[Kind.COMPLETED], [Kind.FAILED]], 1)


@pytest.mark.parametrize("rows", [[], [(1, TASK.task_id, "pending")]])
def test_a_lease_that_was_finished_meanwhile_is_no_unknown_lease(
    rows: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    hold, finisher, totals = held(Faulty())
    parts = Mock(hold=hold, finisher=finisher, totals=totals)
    parts.store.leases.held.return_value = [HeldLease("finished since then", ())]
    parts.store.leases.give_back.return_value = rows
    Beat(parts, cast(Any, None), 0.0, lambda: False)._check_leases()
    assert ("unknown lease given back" in caplog.text) == bool(rows)


@pytest.mark.parametrize(("fault", "kind"), [(MemoryError(), Kind.COMPLETED), (StoreRefused("a NUL"), Kind.FAILED)])
def test_a_part_of_a_batch_that_meets_a_fault_keeps_its_outcomes(fault: Exception, kind: Kind) -> None:
    store = Faulty(fault)
    hold, finisher, _ = held(store)
    hold.tasks = [TASK, TASK, TASK]
    hold.running = TASK
    identity = type("Identity", (), {"worker_id": "a worker"})()
    beat = Beat(
        BeatParts(
            identity,
            cast(Any, store),
            cast(Any, store),
            hold,
            cast(Any, None),
            finisher,
            cast(Any, None),
            ProcessTotals(),
            cast(Any, None),
            cast(Any, None),
        ),
        cast(Any, None),
        0.0,
        lambda: False,
    )
    beat._try(beat._give_away_late_work)
    assert [one.kind for one in hold.earlier] == [kind]
    beat._try(beat._give_away_late_work)
    assert (store.said[-1], hold.earlier_id) == ([kind], None)


@pytest.mark.parametrize("carries", [True, False])
def test_a_worker_reads_the_key_of_the_events_again_and_again(carries: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_key, "_AGAIN_SECONDS", 0.0)
    _, finisher, _ = held(Faulty())
    parts = Mock(finisher=finisher)
    one = Beat(parts, cast(Any, None), 0.0, lambda: False, carries_outcomes=carries)
    keys = [StoreUnavailable("away"), None, b"1" * KEY_BYTES, None, b"2" * KEY_BYTES]
    parts.store.workers.event_key.side_effect = keys
    rows = []
    for _ in keys:
        one._key.learn()
        rows.append(finisher.seal.row(["{}"]) if finisher.seal.has_key else None)
    if carries:
        assert rows[:2] == [None, None]
        assert rows[2] == rows[3] != rows[4]
    else:
        assert rows == [None] * 5
        parts.store.workers.event_key.assert_not_called()


class Settled(Faulty):
    """The lease is gone. `there` are the outcomes in the rows of the tasks."""

    def __init__(self, *there: LogRef) -> None:
        super().__init__()
        self.there, self.asked = there, list[Sequence[str]]()
        self.published = []

    def finish(self, _: str, settled: Sequence[Settlement]) -> list[LogRef]:
        return []

    def landed(self, _: str, task_ids: Sequence[str]) -> list[LogRef]:
        return [row for row in self.there if row[1] in task_ids]

    def due(self, task_ids: Sequence[str]) -> list[Any]:
        self.asked.append(task_ids)
        return []


A, B, C = (replace(TASK, task_id=task_id) for task_id in "abc")


def finish_some(store: Settled) -> ProcessTotals:
    """Complete A, give back B, and do not begin C."""
    hold, finisher, totals = held(store, tasks=[A, B, C])
    hold.settled = [Settlement("a", Kind.COMPLETED, "1"), Settlement("b", Kind.UNSPENT)]
    assert finisher.finish()
    return totals


def test_a_finish_whose_reply_was_lost_gives_hints_to_the_tasks_that_it_gave_back() -> None:
    store = Settled((None, "a", "completed"))
    totals = finish_some(store)
    assert store.published == [(None, "a", "completed"), (None, "b", "pending"), (None, "c", "pending")]
    assert store.asked == [["b", "c"]]
    assert (totals.completed, totals.given_back) == (1, 2)
    assert "losses|outcome_discarded" not in totals.tally.values()


def test_a_finish_that_others_have_settled_announces_nothing() -> None:
    store = Settled()
    totals = finish_some(store)
    assert store.published == []
    assert (totals.completed, totals.given_back) == (0, 0)
    assert totals.tally.values()["losses|outcome_discarded"] == 1
