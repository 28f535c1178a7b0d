"""The processor `echo`: its results, the fields that it obeys, and its cost."""

import os
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from dtqs import testing
from dtqs.errors import PermanentError, TransientError
from dtqs.processors.echo import EchoPayload, EchoProcessor, EchoSettings
from dtqs.task import Effect
from tests.support.fix_processors import Attempt

echo = EchoProcessor(EchoSettings(faults=True))
guarded = EchoProcessor(EchoSettings())


def _run(payload: dict[str, Any], number: int = 1) -> testing.Attempt:
    return testing.run(echo, payload, attempt=number)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"a": 1, "b": [None, {"c": 1.5}], "model_fields": 1, "__dict__": 2, "_given": 3, "given": 4, "name": "x"},
        {"b": 2, "sleep_seconds": 0, "a": 1},
        {"fail": None, "effect": None, "exit": None},
        {"fail_times": 0, "steps": 0},
    ],
)
def test_echo_returns_its_payload_unchanged(payload: dict[str, Any]) -> None:
    assert orjson.dumps(_run(payload).result) == orjson.dumps(payload)


@pytest.mark.parametrize(
    ("payload", "light"),
    [
        ({"a": 1}, True),
        ({}, True),
        *(({name: 0, "a": 1}, False) for name in ("sleep_seconds", "spin_seconds", "fail_times", "steps", "exit")),
    ],
)
def test_echo_is_light_unless_a_known_field_is_given(payload: dict[str, Any], light: bool) -> None:
    assert echo.is_light(EchoPayload.model_validate(payload)) is light


@pytest.mark.parametrize(
    "payload",
    [
        *({"sleep_seconds": v} for v in (-1, 86401, "1", True, float("nan"))),
        *({"fail": v} for v in ("maybe", 1)),
        *({"fail_times": v} for v in (-1, 1001, 1.5)),
        *({"exit": v} for v in (-1, 256)),
        *({"steps": 1001}, {"effect": "once"}, {"spin_seconds": None}),
    ],
)
def test_known_fields_are_typed_and_bounded(payload: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EchoPayload.model_validate(payload)


@pytest.mark.parametrize("value", [None, 1, "a", [1]])
def test_a_payload_that_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        EchoPayload.model_validate(value)


@pytest.mark.parametrize(
    ("how", "kind", "settled"), [("transient", TransientError, "retry"), ("permanent", PermanentError, "failed")]
)
def test_echo_fails_as_requested(how: str, kind: type[Exception], settled: str) -> None:
    attempt = _run({"fail": how})
    assert (type(attempt.error), attempt.settled) == (kind, settled)


def test_echo_fails_the_requested_number_of_times_and_then_succeeds() -> None:
    attempts = [_run({"fail_times": 2}, number) for number in (1, 2, 3)]
    assert [attempt.settled for attempt in attempts] == ["retry", "retry", "completed"]
    assert attempts[-1].result == {"fail_times": 2}


def test_echo_reports_each_step_and_spreads_the_sleep_over_them() -> None:
    started = time.monotonic()
    attempt = _run({"steps": 4, "sleep_seconds": 0.08})
    assert [each.fraction for each in attempt.progress] == [0.25, 0.5, 0.75, 1.0]
    assert 0.08 <= time.monotonic() - started < 1


def test_echo_computes_for_the_requested_time() -> None:
    def computed() -> float:
        started = time.process_time()
        _run({"spin_seconds": 0.1})
        return time.process_time() - started

    # the best of several runs: a loaded machine may give the process a small part of that time
    assert any(computed() > 0.02 for _ in range(40))


def test_the_effect_is_marked_before_everything_else() -> None:
    attempt = _run({"effect": "retry", "fail": "transient", "steps": 1})
    assert (attempt.settled, attempt.effects) == ("retry", (Effect.RETRY,))


def test_echo_exits_as_requested_after_its_steps(attempt: Attempt) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        attempt.reports.progress = lambda *_: os.write(writer, b"x")  # type: ignore[assignment]
        echo.run(EchoPayload.model_validate({"exit": 7, "steps": 2}), attempt.context())
        os._exit(0)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert os.read(reader, 10) == b"xx"
    os.close(reader)


@pytest.mark.parametrize(
    "payload", [{"exit": 0}, {"spin_seconds": 0.1}, {"sleep_seconds": 10.1}, {"sleep_seconds": 86400, "exit": 1}]
)
def test_a_payload_that_holds_up_a_worker_needs_the_setting(payload: dict[str, Any], attempt: Attempt) -> None:
    valid = EchoPayload.model_validate(payload)
    problems = guarded.problems(valid)
    assert {problem.field for problem in problems} == {f"payload.{name}" for name in payload}
    assert all("[processor:echo] faults = on" in problem.message for problem in problems)
    assert not echo.problems(valid)
    with pytest.raises(PermanentError, match="faults = on"):
        guarded.run(valid, attempt.context())


@pytest.mark.parametrize(
    "payload",
    [
        {"exit": None},
        {"spin_seconds": 0},
        {"sleep_seconds": 10, "steps": 5, "fail_times": 3},
        {"fail": "transient"},
        {"a": 1},
    ],
)
def test_a_harmless_payload_needs_no_setting(payload: dict[str, Any]) -> None:
    assert not guarded.problems(EchoPayload.model_validate(payload))


def test_a_tiny_task_costs_less_than_a_validation_by_the_model(attempt: Attempt) -> None:
    context, payload = attempt.context(), {"a": 1}

    def seconds(work: Callable[[], object]) -> float:
        started = time.thread_time()
        for _ in range(2000):
            work()
        return time.thread_time() - started

    def whole() -> object:
        return echo.run(EchoPayload.model_validate(payload), context)

    validate: Any = BaseModel.model_validate

    def by_the_model() -> object:
        return validate.__func__(EchoPayload, payload)

    # in turns, and the best of many runs: other processes share the machine, and machines differ
    runs = [(seconds(whole), seconds(by_the_model)) for _ in range(60)]
    assert min(one for one, _ in runs) < min(other for _, other in runs)


def test_payloads_without_known_fields_share_no_mutable_value() -> None:
    first, second = EchoPayload.model_validate({"a": 1}), EchoPayload.model_validate({"b": 2})
    assert (first.model_extra, second.model_extra, first.steps) == ({"a": 1}, {"b": 2}, 0)
    with pytest.raises(ValidationError):
        first.steps = 1  # type: ignore[misc]
