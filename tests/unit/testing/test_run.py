"""`dtqs.testing.run`: an attempt without a worker reports the processor's actions and the task's settlement."""

import asyncio
import hashlib
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError

from dtqs import Context, Json, Payload, PermanentError, Processor, ProcessorSettings, Source, TransientError, processor
from dtqs.errors import CpuTimeSpent, InputRefused, Invalid, Postponed, TaskCancelled, TaskTimedOut
from dtqs.processors.echo import EchoProcessor
from dtqs.testing import LogEntry, Progress, run
from dtqs.turn import Turn

PHOTO = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


class Copy(Payload):
    source: Source
    times: int = 1


class Mark(ProcessorSettings):
    mark: str = Field(default="!", description="the end of a copy")


class Copier(Processor[Copy, Mark]):
    name, payload_model, settings_model = "copy", Copy, Mark

    def run(self, payload: Copy, context: Context) -> Json:
        with context.open_input(payload.source) as file:
            content = file.read() * payload.times + self.settings.mark.encode()
        (context.work_dir() / "draft").write_bytes(content)
        context.progress(0.5, "half")
        context.log("copied", level="warning", size=len(content))
        return context.add_output("copy", lambda out: out.write(content), "text/plain")


class Nothing(Payload):
    """No fields."""


@processor("send", payload=Nothing, max_retries=1)
def send(payload: Nothing, context: Context) -> Json:
    """Send once."""
    context.take("carrier", 2)
    context.effect_begins("retry")
    context.effect_happened({"id": 7})
    raise TransientError("no receipt")


@processor("steps", payload=Nothing, timeout_seconds=60)
def steps(payload: Nothing, context: Context) -> Json:
    for step in range(4):
        context.progress(step / 4)
    threading.Event().wait(20)
    return "woke"


@processor("flaky", payload=Nothing, max_retries=1)
def flaky(payload: Nothing, context: Context) -> Json:
    if context.attempt == 3:
        raise PermanentError("enough")
    return 1 / (context.attempt - context.attempt)


def test_a_decorated_function_can_be_called_like_any_other() -> None:
    @processor("add", payload=Nothing)
    def add(payload: Nothing, context: Any) -> Json:
        "Add."
        return (payload, context)

    assert add(1, 2) == (1, 2)  # type: ignore[arg-type]
    assert (add.__name__, add.__doc__) == ("add", "Add.")


def test_every_action_of_an_attempt_is_reported() -> None:
    done = run(Copier, {"source": PHOTO, "times": 2}, settings={"mark": "?"}, inputs={PHOTO: b"ab"})
    assert done.settled == "completed"
    assert (done.progress, done.logs) == ((Progress(0.5, "half"),), (LogEntry("warning", "copied", {"size": 5}),))
    output = done.outputs["copy"]
    assert (output.content, output.media_type, output.size_bytes) == (b"abab?", "text/plain", 5)
    assert done.result["sha256"] == output.sha256 == hashlib.sha256(b"abab?").hexdigest()


def test_an_input_may_be_a_file_and_the_payload_a_model(tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(b"x")
    assert (
        run(Copier, Copy(source="https://example.org/x"), inputs={"https://example.org/x": path})
        .outputs["copy"]
        .content
        == b"x!"
    )


def test_a_missing_input_is_refused_with_the_names_of_the_given_ones() -> None:
    done = run(Copier, {"source": PHOTO}, inputs={"file:/x": b""})
    assert isinstance(done.error, InputRefused)
    assert "the test gives no such input; add it to run(..., inputs=...), which has: file:/x" in str(done.error)
    with pytest.raises(InputRefused):
        _ = done.result


def test_an_invalid_payload_is_refused_with_its_field() -> None:
    with pytest.raises(Invalid, match=r"payload\.sourc"):
        run(Copier, {"sourc": PHOTO})


class Appointment(Payload):
    at: datetime
    rooms: frozenset[int] = frozenset()


@processor("appoint", payload=Appointment)
def appoint(payload: Appointment, context: Context) -> Json:
    return [payload.at.year, len(payload.rooms)]


@pytest.mark.parametrize(
    "payload",
    [
        {"at": "2026-01-31T12:00:00Z", "rooms": [1, 2, 1]},
        {"at": datetime(2026, 1, 31, tzinfo=UTC), "rooms": [1, 2]},
        Appointment(at=datetime(2026, 1, 31, tzinfo=UTC), rooms=frozenset({1, 2})),
    ],
)
def test_a_payload_may_hold_dates_and_sets(payload: Any) -> None:
    assert run(appoint, payload).result == [2026, 2]


def test_wrong_settings_and_a_value_that_is_no_processor_are_refused() -> None:
    with pytest.raises(ValidationError, match="marc"):
        run(Copier, {"source": PHOTO}, settings={"marc": "?"})
    with pytest.raises(TypeError, match=r"allowed: a function with @dtqs\.processor"):
        run(lambda: None, {})


def test_effects_and_turns_are_reported_and_a_known_result_completes() -> None:
    done = run(send, {})
    assert (done.settled, done.result, done.effects, done.turns) == (
        "completed",
        {"id": 7},
        ("retry", "fail"),
        (Turn("carrier", 2),),
    )
    assert isinstance(done.error, TransientError)


def test_a_missing_turn_postpones_the_task_and_spends_no_attempt() -> None:
    done = run(send, {}, no_turn={"carrier": 3.5})
    assert (done.settled, done.delay_seconds, done.effects) == ("unspent", 3.5, ())
    assert isinstance(done.error, Postponed)


def test_an_effect_of_a_light_task_is_refused() -> None:
    @processor("light-send", payload=Nothing, light=True)
    def light_send(payload: Nothing, context: Context) -> Json:
        context.effect_begins()
        return None

    done = run(light_send, {})
    assert (done.settled, done.effects) == ("retry", ()), "a retry is no longer light"
    assert "a light task may not have an effect" in str(done.error)


def test_an_error_is_a_retry_until_the_last_attempt() -> None:
    first, last, permanent = (run(flaky, {}, attempt=number) for number in (1, 2, 3))
    assert (first.settled, last.settled, permanent.settled) == ("retry", "failed", "failed")
    assert first.stored_error["type"] == "ZeroDivisionError"
    assert "in flaky" in first.stored_error["traceback"]
    with pytest.raises(PermanentError, match="enough"):
        _ = permanent.result


@pytest.mark.parametrize(("interrupt", "settled"), [({"cancel_at": 0.5}, "cancelled"), ({"stop_at": 0.5}, "unspent")])
def test_a_cancel_and_a_stop_interrupt_at_the_given_progress(interrupt: dict[str, float], settled: str) -> None:
    done = run(steps, {}, **interrupt)  # type: ignore[arg-type]
    assert (done.settled, [each.fraction for each in done.progress]) == (settled, [0.0, 0.25, 0.5])


@processor("many", payload=Nothing)
def many(payload: Nothing, context: Context) -> Json:
    """Wait in a task group of asyncio while another of its tasks reports."""

    async def report() -> None:
        for step in range(4):
            context.progress(step / 4)
            await asyncio.sleep(0)
        await asyncio.sleep(20)

    async def wait() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(report())
            group.create_task(asyncio.sleep(20))

    return asyncio.run(wait())


@pytest.mark.parametrize(
    ("interrupt", "settled", "error"),
    [
        ({"cancel_at": 0.5}, "cancelled", TaskCancelled),
        ({"stop_at": 0.5}, "unspent", type(None)),
        ({"timeout_seconds": 0.2}, "retry", TaskTimedOut),
    ],
)
def test_a_task_group_hides_no_interrupt(interrupt: dict[str, float], settled: str, error: type) -> None:
    done = run(many, {}, **interrupt)  # type: ignore[arg-type]
    assert (done.settled, type(done.error)) == (settled, error)


def test_ctrl_c_in_a_task_group_is_not_taken_for_an_error_of_the_task() -> None:
    @processor("interrupted", payload=Nothing)
    def interrupted(payload: Nothing, context: Context) -> Json:
        raise BaseExceptionGroup("group", [KeyboardInterrupt()])

    with pytest.raises(KeyboardInterrupt):
        run(interrupted, {})


def test_a_time_limit_interrupts() -> None:
    began = time.monotonic()
    done = run(steps, {}, timeout_seconds=0.1)
    assert (done.settled, done.stored_error["type"]) == ("retry", "TaskTimedOut")
    with pytest.raises(TaskTimedOut):
        _ = done.result
    assert time.monotonic() - began < 10


def test_the_end_of_its_processor_time_interrupts() -> None:
    class Spinner(Processor[Nothing, ProcessorSettings]):
        name, payload_model, settings_model = "spin", Nothing, ProcessorSettings

        def run(self, payload: Nothing, context: Context) -> Json:
            while True:
                pass

    before = signal.getsignal(signal.SIGXCPU)
    done = run(Spinner, {}, settings={"attempt_cpu_seconds": 1})
    assert (done.settled, done.stored_error["type"], type(done.error)) == ("retry", "CpuTimeSpent", CpuTimeSpent)
    assert signal.getsignal(signal.SIGXCPU) is before


def test_an_attempt_in_another_thread_may_have_a_limit_of_processor_time() -> None:
    class Idle(Processor[Nothing, ProcessorSettings]):
        name, payload_model, settings_model = "idle", Nothing, ProcessorSettings

        def run(self, payload: Nothing, context: Context) -> Json:
            return "done"

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(run, Idle, {}, settings={"attempt_cpu_seconds": 1000}).result(20)
    assert done.result == "done"


def test_a_function_that_no_worker_can_call_is_refused() -> None:
    @processor("later", payload=Nothing)
    async def later(payload: Nothing, context: Context) -> Json:
        return None

    with pytest.raises(TypeError, match="later: run is async"):
        run(later, {})


def test_an_instance_serves_several_attempts_and_stays_unchanged() -> None:
    copier = Copier(Mark())
    for _ in range(2):
        assert run(copier, {"source": PHOTO}, inputs={PHOTO: b"a"}).outputs["copy"].content == b"a!"
    assert "run" not in vars(copier)


def test_a_built_in_type_can_be_run_too() -> None:
    assert run(EchoProcessor, {"a": 1, "steps": 2}).result == {"a": 1, "steps": 2}


def test_ctrl_c_is_not_taken_for_an_error_of_the_task() -> None:
    @processor("interrupted", payload=Nothing)
    def interrupted(payload: Nothing, context: Context) -> Json:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted, {})


def test_an_exit_of_the_processor_is_an_error_of_the_task() -> None:
    @processor("leaves", payload=Nothing)
    def leaves(payload: Nothing, context: Context) -> Json:
        sys.exit(0)

    done = run(leaves, {})
    assert (done.settled, done.stored_error["type"]) == ("retry", "SystemExit")
