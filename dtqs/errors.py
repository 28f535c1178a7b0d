"""Every exception that DTQS raises on purpose, in one tree; each class is built from facts and words itself.

DtqsError
├── ConfigError                 a setting is wrong: nothing starts
├── TransientError              worth a retry
│   ├── StoreUnavailable        PostgreSQL is away or too slow
│   ├── SchemaUnfit             the schema is for another version of this code
│   ├── BrokerUnavailable       RabbitMQ is away, blocked or too slow
│   ├── ExaminerBusy            a large body cannot be examined now
│   ├── FilesUnavailable        a disk is full, or a source or the object storage is away
│   ├── JailUnavailable         `[files] jail = required`, and this node lacks a part of it
│   ├── JailNotEntered          the jail of this node could not be entered this time
│   ├── TaskTimedOut            an attempt ran into its time limit
│   └── WorkerDied              the process that ran the attempt is gone
├── PermanentError              not worth a retry
│   ├── StoreRefused            PostgreSQL cannot store a value
│   ├── ValueRefused            a processor gave a value that cannot be kept as it is
│   ├── InputRefused            a source that cannot or must not be read
│   ├── TooManyDeaths           the task was running each time its worker died
│   └── EffectUnknown           nobody knows whether an outside effect happened
├── RequestError                a caller asked for something that cannot be done
│   ├── NotFound
│   ├── Conflict
│   ├── Invalid                 one or more fields are wrong, all of them listed
│   ├── AboveCeiling            the operator does not let this API key ask for it
│   └── TooManyRequests         not now: this caller has enough of it already
├── Postponed                   not now: a rate limit has no room, and no attempt is spent
├── TaskCancelled               a cancel interrupted an attempt
└── LeaseLost                   what we held was settled by somebody else
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dtqs.task import DELAY_SECONDS_LIMIT


class DtqsError(Exception):
    """The root of the tree."""


class ConfigError(DtqsError):
    """One or more settings are wrong; `problems` holds a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class TransientError(DtqsError):
    """Raised by a processor: this attempt failed, another may succeed, but not before `retry_after_seconds`."""

    retry_after_seconds: float = 0.0

    def __init__(self, message: str, *, retry_after_seconds: float = 0.0) -> None:
        if not _is_seconds(retry_after_seconds):
            raise TypeError(f"retry_after_seconds = {retry_after_seconds!a:.100}; allowed is a number of seconds")
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class StoreUnavailable(TransientError):
    """PostgreSQL could not be reached, or did not answer in time."""


class SchemaUnfit(TransientError):
    """The database's schema is for another version of this code, which must not work on it; the message says what to do."""


class BrokerUnavailable(TransientError):
    """RabbitMQ could not be reached, or did not answer in time."""


class ExaminerBusy(TransientError):
    """The process that examines large bodies has too many before it, has died, or took too long."""


class FilesUnavailable(TransientError):
    """A file could not be read, fetched or stored, and may be at the next attempt: a full disk, a server that is away."""


class JailUnavailable(TransientError):
    """This node cannot hold hostile input as `[files] jail = required` demands; another node may."""

    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(
            f"this node has no complete jail for programs that read foreign files ({'; '.join(missing)}), and [files] jail is required: "
            "run such tasks on a node that has one (see: dtqs doctor), or set jail = best"
        )


class JailNotEntered(TransientError):
    """A program could not go into the jail that its node has: an error of this moment, and not a part that the kernel lacks."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the jail for programs that read foreign files could not be entered: {reason}")


class TaskTimedOut(TransientError):
    """An attempt was interrupted at its time limit."""

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        super().__init__(f"the attempt ran into its time limit of {limit_seconds:g} s")


class WorkerDied(TransientError):
    """The worker process that ran the attempt died."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"the worker that ran this task died: {cause}")


class PermanentError(DtqsError):
    """Raised by a processor: no further attempt can succeed."""


class StoreRefused(PermanentError):
    """PostgreSQL cannot store a value, for example text with a NUL in it; nothing of the statement happened."""


class ValueRefused(PermanentError):
    """A value that a processor gave is of a wrong type, or cannot be kept as it is."""


class InputRefused(PermanentError):
    """A source cannot be read, or must not be."""

    def __init__(self, uri: str, reason: str) -> None:
        self.uri, self.reason = uri, reason
        super().__init__(f"{uri}: {reason}")


class TooManyDeaths(PermanentError):
    """The workers that ran a task died, one after the other: it counts as the cause."""

    def __init__(self, limit: int, last: str) -> None:
        super().__init__(
            f"{last}; it is not tried again, since {limit} of its workers have died while they ran it ([retry] max_deaths = {limit})"
        )


class EffectUnknown(PermanentError):
    """An attempt ended after `effect_begins()`, and nobody knows whether the effect happened."""

    def __init__(self, how: str, task_type: str = "TYPE") -> None:
        setting = f"where its type has the setting: [processor:{task_type}] on_ambiguous"
        super().__init__(
            f"{how} after the effect had begun; whether it happened is not known, so it is not tried again ({setting})"
        )


class RequestError(DtqsError):
    """What a caller asked for cannot be done."""


class NotFound(RequestError):
    """There is no such thing, or it is not the caller's to see."""

    def __init__(self, what: str, name: str) -> None:
        self.what, self.name = what, name
        super().__init__(f"no {what} {name}")


class Conflict(RequestError):
    """The thing is there, but not in a state that allows this."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field: where it is (`payload.outputs[0].width`), and what is allowed."""

    field: str
    message: str


class Invalid(RequestError):
    """One or more fields of a request are wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)  # built anew in another process


class AboveCeiling(Invalid):
    """One or more fields ask for more than the operator lets this API key have."""


class TooManyRequests(RequestError):
    """The caller must wait before it asks again."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class Postponed(DtqsError):
    """The attempt may not go on before a time: the task is given back, due then, and no attempt is spent."""

    def __init__(self, delay_seconds: float, why: str) -> None:
        if not (_is_seconds(delay_seconds) and 0 < delay_seconds <= DELAY_SECONDS_LIMIT):
            raise ValueError(
                f"delay_seconds = {delay_seconds!a:.100}; allowed is a number above 0, up to {DELAY_SECONDS_LIMIT:g}"
            )
        self.delay_seconds = delay_seconds
        super().__init__(f"put off by {delay_seconds:.3g} s: {why}")


class TaskCancelled(DtqsError):
    """A cancel interrupted the attempt: it has failed, and no other is wanted."""

    def __init__(self) -> None:
        super().__init__("cancelled by request while it ran")


class LeaseLost(DtqsError):
    """The lease that a write went through is gone: somebody else has settled its tasks."""

    def __init__(self, lease_id: str) -> None:
        self.lease_id = lease_id
        super().__init__(f"lease {lease_id} is gone")


def _is_seconds(value: object) -> bool:
    """Tell whether this is a number, as which neither True nor NaN counts."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
