"""One attempt with a function of the test as its processor, and the fate of a child that it forks."""

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime

import pytest

from dtqs.config import RetrySection
from dtqs.errors import InputRefused, LeaseLost, PermanentError, Postponed, StoreUnavailable, TransientError
from dtqs.processors.base import Context, Json, NoSettings, Payload
from dtqs.processors.catalog import Catalog
from dtqs.processors.function import processor, processor_class
from dtqs.scoreboard import Scoreboard
from dtqs.settlement import Kind, Settlement
from dtqs.task import Claimed, Effect
from dtqs.uuid7 import first_uuid7, uuid7
from dtqs.worker.limits import AttemptLimits, Interrupted, Reason
from dtqs.worker.runner import Runner
from tests.support.fix_processors import Attempt, Reports


class Nothing(Payload):
    """No fields."""


def fork(in_child: Callable[[], Json], board: Scoreboard) -> Json:
    """Fork, and return how the child ended and whether this process's attempt still counts as running."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        return in_child()
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), board.read(0).kill_at > 0]


def catalog(function: object) -> Catalog:
    """Make a catalog of one decorated function."""
    kind = processor_class(function)
    assert kind
    return Catalog([kind(NoSettings())])


def raises() -> Json:
    raise ValueError("in the child")


def attempted(runner: Runner, name: str) -> Settlement:
    """Run a first attempt as a light task.

    After a heavy one the runner ends every child of this process, which here are the servers of other tests.
    """
    return runner.attempt(Claimed(uuid7(), name, "{}", 1, 5, None, True), light=True)


@pytest.mark.parametrize("in_child", [raises, lambda: None], ids=["raises", "returns"])
def test_a_child_forked_by_a_processor_neither_works_on_nor_ends_the_attempt(
    attempt: Attempt, in_child: Callable[[], Json]
) -> None:
    board, ours = Scoreboard(1), os.getpid()

    @processor("forks", payload=Nothing)
    def forks(payload: Nothing, context: Context) -> Json:
        return fork(in_child, board)

    runner = Runner(catalog(forks), attempt.space, attempt.reports, AttemptLimits(board.slot(0), 5.0), RetrySection())
    settlement = attempted(runner, "forks")
    if os.getpid() != ours:
        os._exit(99)
    assert (settlement.kind, settlement.value) == (Kind.COMPLETED, "[70,true]")


class Dated(Payload):
    at: datetime


@pytest.mark.parametrize("payload", ['{"at":"2026-01-31T12:00:00Z","new":1}', '{"at":1}'])
def test_a_payload_of_another_version_waits_for_a_worker_of_that_version(attempt: Attempt, payload: str) -> None:
    @processor("dated", payload=Dated)
    def dated(payload: Dated, context: Context) -> Json:
        return payload.at.year

    runner = Runner(
        catalog(dated), attempt.space, attempt.reports, AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection()
    )
    fresh, old, fit = (
        runner.attempt(Claimed(task_id, "dated", text, 1, 5, None, True), light=True)
        for task_id, text in (
            (uuid7(), payload),
            (first_uuid7(time.time() - 7200), payload),
            (uuid7(), '{"at":"2026-01-31T12:00:00Z"}'),
        )
    )
    assert (fresh.kind, fresh.delay_seconds, fit.kind, fit.value) == (Kind.UNSPENT, 10.0, Kind.COMPLETED, "2026")
    assert old.kind is Kind.RETRY, "it must end some day"
    assert "does not fit this worker's version of dated" in (old.value or "")


def test_payloads_of_another_version_come_back_less_often_and_fill_no_log(
    attempt: Attempt, caplog: pytest.LogCaptureFixture
) -> None:
    @processor("dated", payload=Dated)
    def dated(payload: Dated, context: Context) -> Json:
        return payload.at.year

    runner = Runner(
        catalog(dated), attempt.space, attempt.reports, AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection()
    )
    ages = [-60, 0, 120, 1800, *[0] * 40]
    delays = [
        runner.attempt(Claimed(first_uuid7(time.time() - age), "dated", "{}", 1, 5, None, True), True).delay_seconds
        for age in ages
    ]
    assert delays[:4] == pytest.approx([10, 10, 30, 60], abs=2)
    lines = [record for record in caplog.records if record.getMessage() == "payload of another version put off"]
    assert 0 < len(lines) < 20


@pytest.mark.parametrize(
    ("leaves", "kind", "delay", "words"),
    [
        ([Interrupted(Reason.STOP)], Kind.UNSPENT, 0.0, ""),
        ([ValueError("a"), PermanentError("b"), Interrupted(Reason.LEASE)], Kind.UNSPENT, 0.0, ""),
        ([ValueError("a"), BaseExceptionGroup("inner", [Interrupted(Reason.CANCEL)])], Kind.RETRY, None, "cancel"),
        ([PermanentError("no")], Kind.FAILED, 0.0, "no"),
        ([PermanentError("no"), InputRefused("file:/x", "why")], Kind.FAILED, 0.0, "no"),
        ([Postponed(3.0, "a"), Postponed(7.0, "b")], Kind.UNSPENT, 7.0, ""),
        ([TransientError("a"), TransientError("b", retry_after_seconds=500.0)], Kind.RETRY, 500.0, "b"),
        ([LeaseLost("x"), StoreUnavailable("away")], Kind.UNSPENT, 0.0, ""),
        ([PermanentError("no"), ValueError("a")], Kind.RETRY, None, "ExceptionGroup"),
        ([ValueError("a")], Kind.RETRY, None, "ValueError"),
    ],
)
def test_exceptions_in_a_group_settle_the_attempt_as_they_would_alone(
    attempt: Attempt, leaves: list[BaseException], kind: Kind, delay: float | None, words: str
) -> None:
    @processor("groups", payload=Nothing)
    def groups(payload: Nothing, context: Context) -> Json:
        raise BaseExceptionGroup("of a task group", leaves)

    runner = Runner(
        catalog(groups), attempt.space, attempt.reports, AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection()
    )
    settlement = attempted(runner, "groups")
    assert (settlement.kind, words in (settlement.value or "")) == (kind, True)
    assert delay is None or settlement.delay_seconds == delay


@pytest.mark.parametrize("fault", [None, ValueError("a"), Interrupted(Reason.TIME_LIMIT)])
def test_the_context_of_an_attempt_that_has_ended_takes_no_calls(attempt: Attempt, fault: BaseException | None) -> None:
    kept = list[Context]()

    @processor("threads", payload=Nothing)
    def threads(payload: Nothing, context: Context) -> Json:
        kept.append(context)
        context.progress(0.1)
        if fault:
            raise fault
        return None

    runner = Runner(
        catalog(threads), attempt.space, attempt.reports, AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection()
    )
    attempted(runner, "threads")
    (context,) = kept
    for call in (
        lambda: context.progress(0.5),
        lambda: context.log("late"),
        lambda: context.take("a", 1),
        lambda: context.effect_begins("retry"),
        lambda: context.effect_happened({}),
        lambda: context.open_input("file:/x"),
        lambda: context.add_output("a", lambda file: file.write(b"x"), "text/plain"),
        context.work_dir,
    ):
        with pytest.raises(LeaseLost, match=r"attempt 1 of task .* has ended"):
            call()
    assert (attempt.reports.fractions, attempt.reports.logs, attempt.reports.effects) == ([0.1], [], [])
    assert context.known_result is None


def test_files_of_an_unsuccessful_attempt_are_removed_from_the_disk(attempt: Attempt) -> None:
    @processor("stores", payload=Nothing)
    def stores(payload: Nothing, context: Context) -> Json:
        context.add_output("first", lambda file: file.write(b"some"), "text/plain")
        if context.attempt == 1:
            raise TransientError("not yet")
        return None

    runner = Runner(
        catalog(stores), attempt.space, attempt.reports, AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection()
    )
    lost, kept = (
        runner.attempt(Claimed(uuid7(), "stores", "{}", number, 5, None, True), light=True) for number in (1, 2)
    )
    assert (lost.kind, kept.kind, lost.files) == (Kind.RETRY, Kind.COMPLETED, ())
    (output,) = kept.files
    path = attempt.space.path_of(output.file_id)
    assert [each for each in path.parents[2].rglob("*") if each.is_file()] == [path]


@pytest.mark.parametrize(
    "fault",
    [
        Interrupted(Reason.STOP),
        Interrupted(Reason.TIME_LIMIT),
        Interrupted(Reason.CANCEL),
        TransientError("later"),
        ValueError(),
    ],
)
def test_an_effect_that_has_happened_completes_its_task_despite_a_later_error(
    attempt: Attempt, fault: BaseException
) -> None:
    @processor("sends", payload=Nothing)
    def sends(payload: Nothing, context: Context) -> Json:
        context.effect_begins("retry")
        context.add_output("first", lambda file: file.write(b"some"), "text/plain")
        context.effect_happened({"id": 7})
        raise fault

    runner = Runner(
        catalog(sends), attempt.space, attempt.reports, AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection()
    )
    settlement = attempted(runner, "sends")
    assert (settlement.kind, settlement.value, len(settlement.files)) == (Kind.COMPLETED, '{"id":7}', 1)
    assert attempt.space.path_of(settlement.files[0].file_id).exists()
    assert attempt.reports.effects == [Effect.RETRY, Effect.FAIL], "a later death must not repeat the effect"


def test_an_effect_whose_mark_cannot_be_written_still_completes_its_task(attempt: Attempt) -> None:
    class Away(Reports):
        def effect_begins(self, task_id: str, effect: Effect) -> None:
            if effect is Effect.FAIL:
                raise StoreUnavailable("PostgreSQL is away")

    @processor("sends", payload=Nothing)
    def sends(payload: Nothing, context: Context) -> Json:
        context.effect_begins("retry")
        context.effect_happened({"id": 7})
        return None

    runner = Runner(catalog(sends), attempt.space, Away(), AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection())
    settlement = attempted(runner, "sends")
    assert (settlement.kind, settlement.value) == (Kind.COMPLETED, '{"id":7}')


def test_a_known_result_that_cannot_be_stored_fails_its_task_at_once_and_removes_its_files(
    attempt: Attempt,
) -> None:
    ids: list[object] = []

    @processor("sends", payload=Nothing)
    def sends(payload: Nothing, context: Context) -> Json:
        context.effect_begins("retry")
        ids.append(
            context.add_output("first", lambda file: file.write(b"some"), "text/plain")["uri"].removeprefix("upload:")
        )
        context.effect_happened({"id": object()})
        ids.append("went on")
        return None

    runner = Runner(
        catalog(sends), attempt.space, attempt.reports, AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection()
    )
    settlement = attempted(runner, "sends")
    (output,) = ids
    assert (settlement.kind, settlement.files) == (Kind.FAILED, ())
    assert "the result is not JSON" in (settlement.value or "")
    assert not attempt.space.path_of(str(output)).exists()


def test_a_result_that_cannot_be_stored_is_replaced_by_the_known_one(attempt: Attempt) -> None:
    @processor("sends", payload=Nothing)
    def sends(payload: Nothing, context: Context) -> Json:
        result: dict[str, Json] = {"id": 7}
        context.effect_happened(result)
        result["receipt"] = object()
        return result

    runner = Runner(
        catalog(sends), attempt.space, attempt.reports, AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection()
    )
    settlement = attempted(runner, "sends")
    assert (settlement.kind, settlement.value) == (Kind.COMPLETED, '{"id":7}')


@pytest.mark.parametrize("reason", [Reason.STOP, Reason.CANCEL, Reason.TIME_LIMIT])
@pytest.mark.parametrize(("fault", "kind"), [(None, Kind.COMPLETED), (PermanentError("no"), Kind.FAILED)])
def test_an_interrupt_after_the_end_of_an_attempts_code_does_not_change_its_settlement(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, reason: Reason, fault: Exception | None, kind: Kind
) -> None:
    @processor("sends", payload=Nothing)
    def sends(payload: Nothing, context: Context) -> Json:
        context.effect_begins("retry")
        if fault:
            raise fault
        return {"sent": True}

    def kept_pids() -> list[int]:
        raise Interrupted(reason)

    runner = Runner(
        catalog(sends), attempt.space, attempt.reports, AttemptLimits(Scoreboard(1).slot(0), 5.0), RetrySection()
    )
    # the signal arrives while the runner asks each processor for its kept processes
    monkeypatch.setattr(runner, "_kept_pids", kept_pids)
    monkeypatch.setattr("dtqs.worker.runner.kill_descendants", lambda _: None)
    settlement = runner.attempt(Claimed(uuid7(), "sends", "{}", 1, 5, None, False), light=False)
    assert settlement.kind is kind
    assert '"sent":true' in (settlement.value or "") or fault
