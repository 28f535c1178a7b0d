"""Runs one attempt with the code of a worker."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from dtqs.config import RetrySection
from dtqs.errors import CpuTimeSpent, TaskCancelled, TaskTimedOut
from dtqs.processors.base import Context, Processor
from dtqs.processors.callables import method_problems
from dtqs.processors.catalog import Catalog
from dtqs.processors.function import processor_class
from dtqs.settlement import Kind, Settlement
from dtqs.task import Claimed
from dtqs.testing.attempt import Attempt, Output, Settled
from dtqs.testing.stand_ins import AlarmLimits, Files, RecordingReporter
from dtqs.uuid7 import uuid7
from dtqs.worker.groups import settling
from dtqs.worker.limits import Interrupted, Reason
from dtqs.worker.runner import Runner


def run(
    processor: object,
    payload: Mapping[str, Any] | BaseModel,
    *,
    settings: Mapping[str, Any] | None = None,
    inputs: Mapping[str, bytes | Path] | None = None,
    attempt: int = 1,
    timeout_seconds: float | None = None,
    cancel_at: float | None = None,
    stop_at: float | None = None,
    no_turn: Mapping[str, float] | None = None,
) -> Attempt:
    """Run one attempt of a processor in this process, as a worker would, and return all its effects.

    `processor` is a decorated function, a Processor class or an instance. `settings` are the keys of its section
    `[processor:NAME]`. `inputs` maps each source URI of the payload to its content: bytes, or the path of a file.
    `attempt` is its number; the first is 1. `timeout_seconds` is a real time limit.
    `cancel_at` and `stop_at` cancel the task, or stop its worker, at the first progress of at least that fraction.
    `no_turn` maps the key of a rate limit to the seconds until its next turn: `context.take` then raises Postponed.

    Raises Invalid if a submit would refuse the payload, TypeError for no processor or an unusable one, and pydantic's
    ValidationError for wrong settings.
    """
    built = _built(processor, settings)
    text = orjson.dumps(_document(payload)).decode()
    catalog = Catalog([built])
    _, valid = catalog.validate(built.name, orjson.loads(text), text)
    limits = AlarmLimits(timeout_seconds)
    interrupts = {reason: at for reason, at in ((Reason.CANCEL, cancel_at), (Reason.STOP, stop_at)) if at is not None}
    reports = RecordingReporter(built.is_light(valid), interrupts, no_turn or {})
    retry = RetrySection()
    watched = _Watched(built)
    with tempfile.TemporaryDirectory(prefix="dtqs-test-") as folder, watched:
        files = Files(Path(folder), inputs or {})
        try:
            runner = Runner(catalog, files, reports, limits, retry)
            max_retries = retry.max_retries if built.max_retries is None else built.max_retries
            claimed = Claimed(uuid7(), built.name, text, attempt, max_retries, None, True)
            # after a heavy attempt the runner kills all child processes, and here they belong to the test
            settlement = runner.attempt(claimed, light=True)
            return _attempt(settlement, attempt > max_retries, watched, reports, files, timeout_seconds)
        finally:
            watched.close()
            files.close()


def _document(payload: Mapping[str, Any] | BaseModel) -> dict[str, Any]:
    if isinstance(payload, BaseModel):
        return payload.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return dict(payload)


def _built(processor: object, settings: Mapping[str, Any] | None) -> Processor[Any, Any]:
    kind = type(processor) if isinstance(processor, Processor) else processor_class(processor)
    if kind is None:
        raise TypeError(
            f"{processor!r} is not a processor; allowed: a function with @dtqs.processor, "
            "a subclass of dtqs.Processor, or an instance of one"
        )
    built = (
        processor
        if isinstance(processor, Processor)
        else kind(kind.settings_model.model_validate(dict(settings or {})))
    )
    if problems := method_problems(built):
        raise TypeError(f"{built.name}: {'; '.join(problems)}")
    return built


class _Watched:
    """Saves the exception and the context of one call of a processor's `run`, inside the `with` block."""

    def __init__(self, processor: Processor[Any, Any]) -> None:
        self.error: BaseException | None = None
        self.processor, self._run = processor, processor.run
        self._close: Callable[[], None] = lambda: None

    def __enter__(self) -> None:
        self.processor.run = self._watch  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        del self.processor.run  # uncovers the method of the class

    def close(self) -> None:
        self._close()

    def _watch(self, payload: Any, context: Context) -> Any:
        self._close = context.close
        try:
            return self._run(payload, context)
        except BaseException as error:
            self.error = settling(error)
            raise


def _task_error(
    error: BaseException | None, limit_seconds: float | None, processor: Processor[Any, Any]
) -> BaseException | None:
    """Return the error of the task. An interrupt becomes TaskTimedOut or TaskCancelled; a stop has no error."""
    if not isinstance(error, Interrupted):
        return error
    if error.reason is Reason.TIME_LIMIT:
        return TaskTimedOut(limit_seconds or 0.0)
    if error.reason is Reason.CPU_LIMIT:
        return CpuTimeSpent(processor.name, processor.settings.attempt_cpu_seconds)
    return TaskCancelled() if error.reason is Reason.CANCEL else None


def _attempt(
    settlement: Settlement,
    is_last: bool,
    watched: _Watched,
    reports: RecordingReporter,
    files: Files,
    limit_seconds: float | None,
) -> Attempt:
    error = watched.error
    if error is not None and not isinstance(error, Exception | Interrupted | SystemExit):
        raise error  # Ctrl-C, or an exception of the test framework: it does not belong to the task
    value = None if settlement.value is None else orjson.loads(settlement.value)
    completed = settlement.kind is Kind.COMPLETED
    return Attempt(
        settled=_settled(settlement.kind, error, is_last),
        error=_task_error(error, limit_seconds, watched.processor),
        stored_result=value if completed else None,
        stored_error=None if completed else value,
        delay_seconds=settlement.delay_seconds,
        progress=tuple(reports.all_progress),
        logs=tuple(reports.logs),
        outputs={
            file.name: Output(file.name, file.media_type, files.path_of(file.file_id).read_bytes(), file.sha256)
            for file in settlement.files
        },
        effects=tuple(reports.effects),
        turns=tuple(reports.turns),
    )


def _settled(kind: Kind, error: BaseException | None, is_last: bool) -> Settled:
    """Return the settlement of the task, as the SQL statement would decide it."""
    if kind is Kind.RETRY and isinstance(error, Interrupted) and error.reason is Reason.CANCEL:
        return "cancelled"
    if kind is Kind.RETRY and is_last:
        return "failed"
    settled: Settled = kind.value
    return settled
