"""The settlement of an attempt by its exception, the stored text of an error, and the backoff."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtqs.backoff import backoff_seconds
from dtqs.errors import (
    DtqsError,
    EffectUnknown,
    FilesUnavailable,
    InputRefused,
    PermanentError,
    TaskCancelled,
    TaskTimedOut,
    TransientError,
    WorkerDied,
)
from dtqs.settlement import (
    MESSAGE_CHARACTERS,
    RETRY_AFTER_LIMIT_SECONDS,
    TRACEBACK_CHARACTERS,
    Kind,
    RetryPolicy,
    Settlement,
    decide,
    error_json,
)
from dtqs.task import Effect

POLICY = RetryPolicy(base_seconds=2.0, max_seconds=600.0, retry_on_timeout=True, task_type="email")
NO_RETRY_ON_TIMEOUT = RetryPolicy(base_seconds=2.0, max_seconds=600.0, retry_on_timeout=False, task_type="email")


def stored(settlement: Settlement) -> dict[str, object]:
    assert settlement.value is not None
    value: dict[str, object] = orjson.loads(settlement.value)
    return value


@pytest.mark.parametrize(
    ("error", "policy", "kind"),
    [
        (TransientError("again"), POLICY, Kind.RETRY),
        (ValueError("a defect"), POLICY, Kind.RETRY),
        (KeyboardInterrupt(), POLICY, Kind.RETRY),
        (SystemExit(3), POLICY, Kind.RETRY),
        (PermanentError("never"), POLICY, Kind.FAILED),
        (InputRefused("upload:x", "it is no image"), POLICY, Kind.FAILED),
        (TaskTimedOut(5.0), POLICY, Kind.RETRY),
        (TaskTimedOut(5.0), NO_RETRY_ON_TIMEOUT, Kind.FAILED),
        (TransientError("again"), NO_RETRY_ON_TIMEOUT, Kind.RETRY),
    ],
)
def test_an_exception_decides_whether_another_attempt_is_worth_it(
    error: BaseException, policy: RetryPolicy, kind: Kind
) -> None:
    settlement = decide("id", error, 1, policy)
    assert (settlement.task_id, settlement.kind, stored(settlement)["transient"]) == ("id", kind, kind is Kind.RETRY)
    assert stored(settlement)["type"] == type(error).__name__


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a defect"),
        TaskTimedOut(5.0),
        KeyboardInterrupt(),
        FilesUnavailable("the disk is full"),
        InputRefused("upload:1", "no such file"),
    ],
)
@pytest.mark.parametrize("policy", [POLICY, NO_RETRY_ON_TIMEOUT])
def test_an_effect_that_must_not_happen_twice_fails_without_an_answer_of_the_processor(
    error: BaseException, policy: RetryPolicy
) -> None:
    settlement = decide("id", error, 1, policy, Effect.FAIL)
    assert (settlement.kind, stored(settlement)["type"], stored(settlement)["transient"]) == (
        Kind.FAILED,
        "EffectUnknown",
        False,
    )
    assert "after the effect had begun" in str(stored(settlement)["message"])
    assert "[processor:email] on_ambiguous" in str(stored(settlement)["message"])


@pytest.mark.parametrize("effect", list(Effect))
def test_the_processors_own_answer_wins_over_the_mark(effect: Effect) -> None:
    assert decide("id", TransientError("not sent"), 1, POLICY, effect).kind is Kind.RETRY
    assert decide("id", PermanentError("refused"), 1, POLICY, effect).kind is Kind.FAILED
    assert stored(decide("id", PermanentError("refused"), 1, POLICY, effect))["type"] == "PermanentError"


@pytest.mark.parametrize("policy", [POLICY, NO_RETRY_ON_TIMEOUT])
def test_a_time_limit_obeys_a_mark_of_retry(policy: RetryPolicy) -> None:
    assert decide("id", TaskTimedOut(5.0), 1, policy, Effect.RETRY).kind is Kind.RETRY


@given(attempt=st.integers(1, 2000), jitter=st.floats(0, 1))
def test_the_delay_lies_between_zero_and_the_ceiling(attempt: int, jitter: float) -> None:
    assert 0 <= backoff_seconds(attempt, 2.0, 600.0, jitter) <= 600.0


def test_the_delay_doubles_with_each_attempt_up_to_its_ceiling() -> None:
    assert [backoff_seconds(attempt, 2.0, 20.0, 1.0) for attempt in range(1, 7)] == [2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


def test_the_jitter_is_full_and_drawn_for_each_retry() -> None:
    delays = {decide("id", TransientError("again"), 3, POLICY).delay_seconds for _ in range(50)}
    assert len(delays) == 50
    assert min(delays) < 2.0 < 6.0 < max(delays) <= 8.0


# --- the stored text of an error


def test_an_error_of_dtqs_has_its_own_text_and_others_bring_their_traceback() -> None:
    ours = orjson.loads(error_json(WorkerDied("signal 9 (SIGKILL)"), transient=True))
    assert ours == {
        "type": "WorkerDied",
        "message": "the worker that ran this task died: signal 9 (SIGKILL)",
        "transient": True,
    }
    try:
        raise ValueError("a defect")
    except ValueError as error:
        others = orjson.loads(error_json(error, transient=True))
    assert (others["type"], others["message"]) == ("ValueError", "a defect")
    assert "test_an_error_of_dtqs" in others["traceback"]


def test_an_error_without_text_has_its_name() -> None:
    assert orjson.loads(error_json(KeyError(), transient=True))["message"] == "KeyError"


@given(st.text())
def test_every_text_of_an_error_can_be_stored(text: str) -> None:
    value = error_json(TransientError(text), transient=True)
    assert "\\u0000" not in value
    assert orjson.loads(value)["message"] or not text


def test_text_that_postgresql_cannot_hold_is_made_visible() -> None:
    assert orjson.loads(error_json(TransientError("a\0b\ud800c"), transient=True))["message"] == "a\\0b\\ud800c"


def test_the_stored_text_of_an_error_is_limited() -> None:
    value = orjson.loads(error_json(ValueError("x" * 100_000), transient=True))
    assert (len(value["message"]), len(value["traceback"])) == (MESSAGE_CHARACTERS, TRACEBACK_CHARACTERS)


def test_every_error_is_in_one_tree() -> None:
    assert issubclass(EffectUnknown, PermanentError)
    assert issubclass(TaskTimedOut, TransientError)
    assert not issubclass(TransientError, PermanentError)
    assert issubclass(PermanentError, DtqsError)


def test_a_retry_is_not_due_before_the_requested_time() -> None:
    asked = decide("id", TransientError("throttled", retry_after_seconds=100.0), 1, POLICY)
    assert asked.delay_seconds == 100.0
    for much in (1e9, float("inf"), 10**400):
        assert (
            decide("id", TransientError("throttled", retry_after_seconds=much), 1, POLICY).delay_seconds
            == RETRY_AFTER_LIMIT_SECONDS
        )
    assert (
        0
        <= decide("id", TransientError("throttled", retry_after_seconds=-(10**400)), 1, POLICY).delay_seconds
        <= POLICY.max_seconds
    )


def test_the_error_of_a_cancelled_task_promises_no_retry() -> None:
    assert stored(decide("id", TaskCancelled(), 1, POLICY))["transient"] is False


class Unspeakable(Exception):
    """An exception whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        raise RuntimeError("nor notes")


@pytest.mark.parametrize("effect", [None, Effect.FAIL])
def test_an_exception_without_readable_text_still_settles_its_task(effect: Effect | None) -> None:
    try:
        raise Unspeakable
    except Unspeakable as error:
        value = stored(decide("id", error, 1, POLICY, effect))
    assert "Unspeakable (its text is missing: its __str__ raised RuntimeError)" in str(value["message"])
    assert effect or "test_kernel_settlement" in str(value["traceback"])
