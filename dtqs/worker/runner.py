"""Runs one attempt: validates the payload, runs the processor, and makes a settlement. The finisher writes it."""

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from pydantic import BaseModel, ValidationError

from dtqs import naming
from dtqs.config import RetrySection
from dtqs.errors import (
    DtqsError,
    EffectUnknown,
    LeaseLost,
    Postponed,
    StoreUnavailable,
    TaskCancelled,
    TaskTimedOut,
    TransientError,
)
from dtqs.files import FileSpace
from dtqs.json_value import json_text
from dtqs.processors.base import Context, Permit, Processor, Reporter
from dtqs.processors.catalog import Catalog
from dtqs.processors.validation import reader
from dtqs.repeated_line import RepeatedLines
from dtqs.settlement import Kind, RetryPolicy, Settlement, decide, describe, error_json
from dtqs.task import DELAY_SECONDS_LIMIT, Claimed, Effect
from dtqs.uuid7 import made_at
from dtqs.worker.bounds import AttemptBounds
from dtqs.worker.descendants import kill_descendants
from dtqs.worker.groups import settling
from dtqs.worker.limits import Interrupted, Reason

logger = logging.getLogger(__name__)
_UNFIT_SECONDS, _MOST_UNFIT_SECONDS, _DEPLOY_SECONDS = 10.0, 60.0, 3600.0
"""During a deploy, an old worker may claim a task that a new API has accepted: it comes back until a new one has it,
less and less often, since others may wait behind 100,000 such tasks. A task that was submitted longer ago spends its
retries, and then fails in words.
"""


class Limiter(Protocol):
    """Interrupts the attempt between `arm` and `disarm`: dtqs.worker.limits in a worker, a stand-in in tests."""

    cpu_until: float

    def arm(self, task_id: str, limit_seconds: float) -> None: ...
    def disarm(self) -> None: ...


@dataclass(slots=True)
class _Type:
    """The parts of a processor for an attempt, looked up once: a tiny task costs only some microseconds."""

    validate: Callable[[str], BaseModel]
    run: Callable[[Any, Context], object]
    limit_seconds: float
    policy: RetryPolicy
    bounds: AttemptBounds | None


class _ExceptionWithoutText(DtqsError):
    """The text of the attempt's exception raised another exception, which `except Exception` does not catch."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(
            f"the attempt raised an exception whose __str__ failed with {type(error).__name__}; correct its __str__"
        )


class Runner:
    def __init__(
        self,
        catalog: Catalog,
        files: FileSpace,
        reporter: Reporter,
        limits: Limiter,
        retry: RetrySection,
        permit: Permit | None = None,
    ) -> None:
        """Make a runner. Without `permit`, uploads have no owner: only tests of a processor do this."""
        self._files, self._reporter, self._limits, self._retry, self._permit = files, reporter, limits, retry, permit
        self._pid, self._unfit_lines = os.getpid(), RepeatedLines(logger)
        self._kept: list[int] = []
        self._reached: Settlement | None = None
        """The settlement of the present attempt, once its code has ended. A later interrupt does not change it."""
        self._processors = [catalog.get(name) for name in catalog.names()]
        self._types = {processor.name: self._type(processor) for processor in self._processors}

    def knows(self, task_type: str) -> bool:
        return task_type in self._types

    def attempt(self, task: Claimed, light: bool) -> Settlement:
        """Run one attempt to its end. No exception of a processor leaves this method."""
        kind = self._types.get(task.task_type)
        if kind is None:
            # a claim takes only tasks of a type that this worker runs
            return Settlement(task.task_id, Kind.UNSPENT)
        context = Context(task.task_id, task.attempt, self._reporter, self._files, self._permit)
        limit = task.timeout_seconds or kind.limit_seconds
        self._kept, self._reached = [], None
        if kind.bounds:
            kind.bounds.begin()
            self._limits.cpu_until = kind.bounds.cpu_until
        try:
            settlement = self._run_limited(task, kind, context, limit, light)
        except BaseException as error:  # an interrupt between two steps, or an exception whose __str__ failed
            context.end()
            self._limits.disarm()
            cause = error if isinstance(error, Interrupted) else _ExceptionWithoutText(error)
            settlement = self._reached or self._settle(task, cause, context, limit)
        if kind.bounds:
            self._limits.cpu_until = math.inf
            kind.bounds.end()
        if settlement.kind is not Kind.COMPLETED:
            _quietly(context.discard)
            _quietly(lambda: _log_failure(task, settlement))
        if not light:
            _quietly(lambda: kill_descendants(self._kept))
            _quietly(context.close)
        return settlement

    def _run_limited(self, task: Claimed, kind: _Type, context: Context, limit: float, light: bool) -> Settlement:
        """Run the author's code, with the `__str__` of its exceptions. Time limit, cancel and stop interrupt it."""
        try:
            self._limits.arm(task.task_id, limit)
            try:
                payload = kind.validate(task.payload)
            except ValidationError as error:
                raise _unfit(task, error, self._unfit_lines) from error
            self._reached = Settlement(
                task.task_id, Kind.COMPLETED, json_text("the result", kind.run(payload, context)), 0.0, context.outputs
            )
        except BaseException as error:  # an exception of a processor ends its task, but never the worker
            self._end_forked()
            if kind.bounds:
                # the settlement must not fail for the same lack of memory
                kind.bounds.end()
            self._reached = self._reached or self._settle(task, error, context, limit)
        self._end_forked()
        if not light:
            self._kept = self._kept_pids()
        context.end()
        self._limits.disarm()
        return self._reached

    def _end_forked(self) -> None:
        """End this process if the processor forked it.

        It must neither go on as a second worker nor report the end of the attempt through shared memory.
        """
        if os.getpid() != self._pid:
            os._exit(os.EX_SOFTWARE)

    def close(self) -> None:
        """Close all processors."""
        for processor in self._processors:
            _quietly(processor.close)

    def _settle(self, task: Claimed, error: BaseException, context: Context, limit_seconds: float) -> Settlement:
        policy, bounds, error = self._types[task.task_type].policy, self._types[task.task_type].bounds, settling(error)
        if context.known_result is not None:
            return Settlement(task.task_id, Kind.COMPLETED, context.known_result, 0.0, context.outputs)
        if isinstance(error, Interrupted):
            if error.reason is Reason.STOP:
                return _give_back(task, context, "its worker was stopped")
            if error.reason is Reason.LEASE:
                return _give_back(task, context, "its worker could write no heartbeat, so others may take its lease")
            error = _interruption(error.reason, limit_seconds, bounds)
        elif isinstance(error, StoreUnavailable | LeaseLost):
            # the database is down, which is not the processor's fault: no attempt is spent
            return _give_back(task, context, describe(error))
        elif isinstance(error, Postponed) and 0 < error.delay_seconds <= DELAY_SECONDS_LIMIT:
            return _give_back(task, context, describe(error), error.delay_seconds)
        error = bounds.explained(error) if bounds else error
        return decide(task.task_id, error, task.attempt, policy, context.effect)

    def _kept_pids(self) -> list[int]:
        kept: list[int] = []
        for processor in self._processors:
            _quietly(lambda: kept.extend(pid for pid in processor.kept_pids() if isinstance(pid, int)))  # noqa: B023
        return kept

    def _type(self, processor: Processor[Any, Any]) -> _Type:
        retry = self._retry
        policy = RetryPolicy(retry.base_seconds, retry.max_seconds, processor.retry_on_timeout, processor.name)
        return _Type(
            reader(processor.payload_model),
            processor.run,
            processor.timeout_seconds or retry.timeout_seconds,
            policy,
            AttemptBounds.of(processor.name, processor.settings),
        )


def _unfit(task: Claimed, error: ValidationError, lines: RepeatedLines) -> DtqsError:
    """Return the error of a payload that another version of the processor has accepted."""
    found = error.errors(include_url=False, include_input=False)
    words = (
        f"the payload does not fit this worker's version of {task.task_type}, but another version accepted it: {found}"
    )
    age_seconds = time.time() - made_at(task.task_id)
    if age_seconds > _DEPLOY_SECONDS:
        return TransientError(words, retry_after_seconds=_UNFIT_SECONDS)
    fields = {"reason": words, **naming.of_task(task)}
    lines.tell(logging.WARNING, "payload of another version put off", kind=task.task_type, **fields)
    return Postponed(min(_MOST_UNFIT_SECONDS, max(_UNFIT_SECONDS, age_seconds / 4)), words)


def _interruption(reason: Reason, limit_seconds: float, bounds: AttemptBounds | None) -> DtqsError:
    if reason is Reason.CPU_LIMIT and bounds:
        return bounds.spent_cpu()
    return TaskCancelled() if reason is Reason.CANCEL else TaskTimedOut(limit_seconds)


def _give_back(task: Claimed, context: Context, why: str, delay_seconds: float = 0.0) -> Settlement:
    """Give the task back without spending an attempt, unless an effect has begun that must not happen twice."""
    if context.effect is Effect.FAIL:
        return Settlement(task.task_id, Kind.FAILED, error_json(EffectUnknown(why, task.task_type), transient=False))
    return Settlement(task.task_id, Kind.UNSPENT, None, delay_seconds)


def _log_failure(task: Claimed, settlement: Settlement) -> None:
    """Log how an attempt ended, without the text of its error: that may hold an address, and the task's log has it."""
    error = orjson.loads(settlement.value)["type"] if settlement.value else None
    fields = {"task_type": task.task_type, "settlement": str(settlement.kind), "error": error}
    logger.info("attempt not completed", extra=naming.of_task(task) | fields)


def _quietly(clean_up: Callable[[], None]) -> None:
    try:
        clean_up()
    # the attempt has its settlement, so a failed clean-up is only logged
    except (Exception, SystemExit, KeyboardInterrupt):
        logger.exception("clean-up after an attempt failed")
