"""The settlement of one task, and how the exception of an attempt decides it; pure."""

import enum
import traceback
from dataclasses import dataclass

import orjson

from dtqs.backoff import backoff_seconds
from dtqs.errors import (
    AttemptTooLarge,
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
"""Longer waits that a server asks for are cut to this: they are mistakes."""
_NOT_THE_PROCESSORS = (TaskTimedOut, FilesUnavailable, InputRefused, AttemptTooLarge)
"""The worker, or the files of the context, raise these through a processor: they say nothing about its effect."""


class Kind(enum.StrEnum):
    """The four ways in which a finish settles a task. The SQL statement uses the same words."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRY = "retry"
    UNSPENT = "unspent"


@dataclass(slots=True)
class Settlement:
    """One task's part of a finish. `value` is JSON text: the result or the error. Not frozen: see Claimed."""

    task_id: str
    kind: Kind
    value: str | None = None
    delay_seconds: float = 0.0
    files: tuple[OutputFile, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The retry settings of a task type: base and maximum of the backoff, and whether a time limit is transient."""

    base_seconds: float
    max_seconds: float
    retry_on_timeout: bool
    task_type: str


def error_json(error: BaseException, transient: bool) -> str:
    """Return an error as it is stored: `{"type", "message", "transient", "traceback"?}`.

    Errors of DTQS explain themselves in their message; all others get their traceback.
    """
    # the text of an exception may contain NULs and lone surrogates, which PostgreSQL cannot store
    message = _clean(describe(error))[:MESSAGE_CHARACTERS]
    value: dict[str, object] = {"type": _clean(type(error).__name__), "message": message, "transient": transient}
    if not isinstance(error, DtqsError):
        value["traceback"] = _clean(_traceback(error))[-TRACEBACK_CHARACTERS:]
    return orjson.dumps(value).decode()


def _retry_after_seconds(error: TransientError) -> float:
    """Return `retry_after_seconds` within its bounds. A subclass may have set it to any value."""
    seconds: object = error.retry_after_seconds
    if not isinstance(seconds, int | float) or seconds != seconds:
        return 0.0
    # an integer may be too large for a float
    return float(max(0.0, min(seconds, RETRY_AFTER_LIMIT_SECONDS)))


def describe(error: BaseException) -> str:
    """Return the text of an exception, or its name if that is empty.

    The exception's own code makes the text. If that code fails, the settlement must not fail with it.
    """
    try:
        return str(error) or type(error).__name__
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as fault:
        return f"{type(error).__name__} (its text is missing: its __str__ raised {type(fault).__name__})"


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    # it calls code of the exception, its notes and its causes: any of them may raise
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit):
        return "".join(traceback.format_tb(error.__traceback__))


def _clean(text: str) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def decide(
    task_id: str, error: BaseException, attempt: int, policy: RetryPolicy, effect: Effect | None = None
) -> Settlement:
    """Turn an attempt's exception into its settlement.

    The SQL statement decides whether a retry is left: it knows `max_retries` of the row.
    After `effect_begins()` the mark decides, unless the processor itself raised a TransientError or PermanentError.
    An error that the context raised, for a full disk or a failed source, does not count as the processor's.
    """
    own_answer = isinstance(error, PermanentError | TransientError) and not isinstance(error, _NOT_THE_PROCESSORS)
    if effect is Effect.FAIL and not own_answer:
        unknown = EffectUnknown(describe(error), policy.task_type)
        return Settlement(task_id, Kind.FAILED, error_json(unknown, transient=False))
    if isinstance(error, PermanentError):
        return Settlement(task_id, Kind.FAILED, error_json(error, transient=False))
    if isinstance(error, TaskTimedOut) and not policy.retry_on_timeout and effect is None:
        return Settlement(task_id, Kind.FAILED, error_json(error, transient=False))
    delay = backoff_seconds(attempt, policy.base_seconds, policy.max_seconds)
    if isinstance(error, TransientError):
        delay = max(delay, _retry_after_seconds(error))
    # a cancelled task is settled as a retry; the SQL statement turns it into the outcome
    return Settlement(task_id, Kind.RETRY, error_json(error, transient=not isinstance(error, TaskCancelled)), delay)
