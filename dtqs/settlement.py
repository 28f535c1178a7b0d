"""What a finish does with one task, and the pure decision from an attempt's exception to that."""

import enum
import traceback
from dataclasses import dataclass

import orjson

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
)
from dtqs.task import Effect, OutputFile

TRACEBACK_CHARACTERS = 4000
MESSAGE_CHARACTERS = 2000
RETRY_AFTER_LIMIT_SECONDS = 86400.0
"""A server that asks for more patience than this is mistaken."""
_NOT_THE_PROCESSORS = (TaskTimedOut, FilesUnavailable, InputRefused)
"""Errors that the worker, or the context's files, raise through a processor: they say nothing of an effect that has begun."""


class Kind(enum.StrEnum):
    """The four ways in which a finish settles a task; the words are those of the statement."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRY = "retry"
    UNSPENT = "unspent"


@dataclass(slots=True)
class Settlement:
    """One task's part of a finish. `value` is JSON text: the result when completed, else the error. Not frozen: see Claimed."""

    task_id: str
    kind: Kind
    value: str | None = None
    delay_seconds: float = 0.0
    files: tuple[OutputFile, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a type's transient failures are retried: backoff's base and ceiling, and whether a time limit counts as transient."""

    base_seconds: float
    max_seconds: float
    retry_on_timeout: bool
    task_type: str


def error_json(error: BaseException, transient: bool) -> str:
    """Return what is stored of an error: `{"type", "message", "transient", "traceback"?}`; ours word themselves, others get their traceback."""
    # PostgreSQL's text cannot hold a NUL, nor a lone surrogate; an exception's text can
    message = _clean(words(error))[:MESSAGE_CHARACTERS]
    value: dict[str, object] = {"type": _clean(type(error).__name__), "message": message, "transient": transient}
    if not isinstance(error, DtqsError):
        value["traceback"] = _clean(_traceback(error))[-TRACEBACK_CHARACTERS:]
    return orjson.dumps(value).decode()


def _patience(error: TransientError) -> float:
    """Return `retry_after_seconds`, bounded; a subclass may have set it to anything."""
    seconds: object = error.retry_after_seconds
    if not isinstance(seconds, int | float) or seconds != seconds:
        return 0.0
    # an integer may be too large for a float
    return float(max(0.0, min(seconds, RETRY_AFTER_LIMIT_SECONDS)))


def words(error: BaseException) -> str:
    """Return what an exception says of itself, or else its name; its own code may fail in that, and must not take the settlement with it."""
    try:
        return str(error) or type(error).__name__
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as fault:
        return f"{type(error).__name__}, whose text cannot be made: {type(fault).__name__}"


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except (
        Exception,
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
    ):  # it asks the exception, its notes and its causes, all of which may be anybody's code
        return "".join(traceback.format_tb(error.__traceback__))


def _clean(text: str) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def decide(
    task_id: str, error: BaseException, attempt: int, policy: RetryPolicy, effect: Effect | None = None
) -> Settlement:
    """Turn an attempt's exception into its settlement.

    Whether a retry is left is decided by the statement, which knows `max_retries` of the row. After `effect_begins()`
    only the processor's own answer (a TransientError or PermanentError that it raised) settles the task otherwise than the mark says;
    what the context raised out of a full disk or a source that fails is none.
    """
    own_answer = isinstance(error, PermanentError | TransientError) and not isinstance(error, _NOT_THE_PROCESSORS)
    if effect is Effect.FAIL and not own_answer:
        return Settlement(
            task_id, Kind.FAILED, error_json(EffectUnknown(words(error), policy.task_type), transient=False)
        )
    if isinstance(error, PermanentError):
        return Settlement(task_id, Kind.FAILED, error_json(error, transient=False))
    if isinstance(error, TaskTimedOut) and not policy.retry_on_timeout and effect is None:
        return Settlement(task_id, Kind.FAILED, error_json(error, transient=False))
    delay = backoff_seconds(attempt, policy.base_seconds, policy.max_seconds)
    if isinstance(error, TransientError):
        delay = max(delay, _patience(error))
    # a cancelled task is settled as by a retry, which the statement turns into its outcome
    return Settlement(task_id, Kind.RETRY, error_json(error, transient=not isinstance(error, TaskCancelled)), delay)
