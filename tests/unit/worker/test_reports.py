"""Turns of rate limits in an attempt: a turn that begins soon is waited for, a later one postpones the task."""

import contextlib
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtqs.errors import LeaseLost, Postponed, TransientError
from dtqs.store.rates import TurnAnswer
from dtqs.task import Claimed, Effect
from dtqs.turn import Turn
from dtqs.worker.hold import Hold
from dtqs.worker.reports import WorkerReporter


def reporter(answer: TurnAnswer) -> WorkerReporter:
    store = SimpleNamespace(rates=SimpleNamespace(take=lambda turns: answer))
    limits = SimpleNamespace(interrupts_deferred=contextlib.nullcontext)
    return WorkerReporter(cast(Any, store), cast(Any, None), cast(Any, None), cast(Any, limits))


def test_an_attempt_waits_for_a_turn_that_begins_soon() -> None:
    began = time.monotonic()
    reporter(TurnAnswer(seconds=0.1)).take([Turn("a", 10)])
    assert time.monotonic() - began >= 0.1


def test_a_task_without_a_turn_waits_for_the_last_of_its_limits() -> None:
    with pytest.raises(Postponed, match="the rate limit b allows 2 turns a second") as postponed:
        reporter(TurnAnswer(refused={"a": 3.0, "b": 4.0})).take([Turn("a", 1), Turn("b", 2)])
    assert postponed.value.delay_seconds == 4


def test_an_effect_of_a_task_that_was_submitted_as_light_waits_for_its_next_attempt() -> None:
    hold = Hold()
    task = Claimed("a", "send", "{}", 1, 5, None, True)
    hold.begin("lease", [task])
    hold.start(task)
    limits = SimpleNamespace(interrupts_deferred=contextlib.nullcontext)
    reports = WorkerReporter(cast(Any, None), cast(Any, None), hold, cast(Any, limits))
    with pytest.raises(TransientError, match="a retry runs as a heavy one"):
        reports.effect_begins("a", Effect.FAIL)


def test_a_thread_of_an_ended_attempt_that_has_waited_for_the_lease_writes_nothing() -> None:
    hold = Hold()
    task = Claimed("a", "send", "{}", 2, 5, None, False)
    hold.begin("lease", [task])
    limits = SimpleNamespace(interrupts_deferred=contextlib.nullcontext)
    reports = WorkerReporter(cast(Any, None), cast(Any, None), hold, cast(Any, limits))
    for _ in range(2):
        with pytest.raises(LeaseLost):
            reports.progress("a", 1, 0.5, "")
        with pytest.raises(LeaseLost):
            reports.log("b", 2, "info", "late", None)
        with pytest.raises(LeaseLost):
            reports.effect_begins("b", Effect.FAIL)
        hold.start(task)
    assert not hold.reported
