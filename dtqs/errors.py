"""All exceptions that DTQS raises on purpose, in one tree. Each class takes facts and builds its message.

DtqsError
├── ConfigError                 a setting is wrong: nothing starts
├── TransientError              worth a retry
│   ├── StoreUnavailable        PostgreSQL is down or too slow
│   │   └── CommitUnknown       PostgreSQL gave no reply to a COMMIT
│   ├── SchemaUnfit             the schema is for another version of this code
│   ├── BrokerUnavailable       RabbitMQ is down, blocked or too slow
│   ├── ExaminerBusy            a large body cannot be examined now
│   ├── UploadsFull, BodiesFull, AnswersFull    an API process has no room for more bytes of these
│   ├── FilesUnavailable        a disk is full, or a source or the object storage is down
│   ├── JailUnavailable, JailNotEntered    this node lacks a part of the required jail, or failed to enter it
│   ├── TaskTimedOut            an attempt exceeded its time limit
│   │   └── CpuTimeSpent        an attempt exceeded its processor time
│   └── WorkerDied              the process that ran the attempt has died
├── PermanentError              not worth a retry
│   ├── StoreRefused            PostgreSQL cannot store a value
│   ├── ValueRefused            a processor gave a value that cannot be stored unchanged
│   ├── InputRefused            a source cannot or must not be read
│   ├── AttemptTooLarge         an attempt exceeded its memory, or the size of a file
│   ├── TooManyDeaths, TooManyLosses    the task ran each time when its worker died, or was lost
│   └── EffectUnknown           it is unknown whether an outside effect happened
├── RequestError                a caller asked for something that cannot be done
│   ├── NotFound, Conflict
│   ├── Invalid                 one or more fields are wrong, all of them listed
│   ├── AboveCeiling            more than the operator allows this API key
│   └── TooManyRequests         the caller must wait
├── Postponed                   a rate limit has no turn; no attempt is spent
├── TaskCancelled               a cancel interrupted an attempt
└── LeaseLost                   another process has settled the tasks of this lease
"""

import copyreg
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dtqs.task import DELAY_SECONDS_LIMIT


class DtqsError(Exception):
    """The root of the tree."""

    def __reduce__(self) -> tuple[Any, ...]:
        # a pickle would call __init__ with the finished message in place of the facts
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class ConfigError(DtqsError):
    """One or more settings are wrong; `problems` holds a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class TransientError(DtqsError):
    """This attempt failed; another may succeed after `retry_after_seconds`. Processors raise it."""

    retry_after_seconds: float = 0.0

    def __init__(self, message: str, *, retry_after_seconds: float = 0.0) -> None:
        if not _is_seconds(retry_after_seconds):
            raise TypeError(f"retry_after_seconds = {retry_after_seconds!a:.100}; allowed: a number of seconds")
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class StoreUnavailable(TransientError):
    """PostgreSQL is unreachable, or did not answer in time."""


class CommitUnknown(StoreUnavailable):
    """PostgreSQL gave no reply to a COMMIT, so it may have happened. No locked row is the cause."""


class SchemaUnfit(TransientError):
    """The schema of the database is for another version of DTQS. The message names the remedy."""


class BrokerUnavailable(TransientError):
    """RabbitMQ is unreachable, or did not answer in time."""


class ExaminerBusy(TransientError):
    """The process that examines large request bodies has a full queue, has died, or took too long."""


class FilesUnavailable(TransientError):
    """A file cannot be read, fetched or stored now (full disk, server down). A retry may succeed."""


class UploadsFull(TransientError):
    """An API process receives as many bytes of uploads as `[files] receiving_bytes` allows. A retry may succeed."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        super().__init__(
            f"this process has no room for the upload beside the others: [files] receiving_bytes = {most_bytes}"
        )


class BodiesFull(TransientError):
    """An API process holds as many bytes of bodies as it may. A retry may succeed."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        super().__init__(
            f"this process holds at most {most_bytes} bytes of bodies, and half of it for one API key; "
            "send fewer large bodies at the same time"
        )


class AnswersFull(TransientError):
    """An API process holds as many bytes of large answers as it may. A retry may succeed."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"at most {most_bytes} bytes of large answers wait for their clients, half of it for one key")


class JailUnavailable(TransientError):
    """This node lacks a part of the jail that `[files] jail = required` demands. Another node may have it."""

    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(
            f"this node has no complete jail for programs that read foreign files ({'; '.join(missing)}), "
            "and [files] jail = required: run such tasks on a node that has one (see: dtqs doctor), or set jail = best"
        )


class JailNotEntered(TransientError):
    """A program could not enter the jail this time, although the kernel has all parts. A retry may succeed."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"a program that reads foreign files could not enter its jail this time, so it did not run: {reason}"
        )


class TaskTimedOut(TransientError):
    """An attempt was interrupted at its time limit."""

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        super().__init__(
            f"the attempt was interrupted at its time limit of {limit_seconds:g} s; for more time, set timeout_seconds"
        )


class CpuTimeSpent(TaskTimedOut):
    """An attempt was interrupted when its processor time was used up."""

    def __init__(self, task_type: str, limit_seconds: int) -> None:
        self.limit_seconds = limit_seconds
        TransientError.__init__(
            self,
            f"the attempt was interrupted after its {limit_seconds} s of processor time; for more time, set "
            f"[processor:{task_type}] attempt_cpu_seconds",
        )


class WorkerDied(TransientError):
    """The worker process that ran the attempt has died."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"the worker that ran this task died: {cause}")


class PermanentError(DtqsError):
    """This attempt failed, and no other can succeed. Processors raise it."""


class StoreRefused(PermanentError):
    """PostgreSQL cannot store a value, for example text with a NUL. The statement changed nothing."""


class ValueRefused(PermanentError):
    """A value from a processor has a wrong type, or cannot be stored unchanged."""


class AttemptTooLarge(PermanentError):
    """An attempt wanted more memory, or a larger file, than the configuration of its task type allows."""

    def __init__(self, wanted: str, task_type: str, key: str, limit: int) -> None:
        super().__init__(f"the attempt wanted {wanted} than [processor:{task_type}] {key} = {limit} allows")


class InputRefused(PermanentError):
    """A source cannot or must not be read."""

    def __init__(self, uri: str, reason: str) -> None:
        self.uri, self.reason = uri, reason
        super().__init__(f"{uri}: {reason}")


class TooManyDeaths(PermanentError):
    """Several workers died while they ran a task, so the task counts as the cause."""

    def __init__(self, limit: int, last: str) -> None:
        super().__init__(
            f"{last}; there is no retry, since {limit} workers died while they ran the task "
            f"([retry] max_deaths = {limit})"
        )


class TooManyLosses(PermanentError):
    """A task has lost too many workers with their nodes or networks: it may be what ends the nodes."""

    def __init__(self, limit: int, last: str) -> None:
        super().__init__(
            f"{last}; the task does not begin again, since it has lost {limit} workers with their nodes or "
            f"heartbeats ([retry] max_losses = {limit})"
        )


class EffectUnknown(PermanentError):
    """An attempt ended after `effect_begins()`. It is unknown whether the effect happened."""

    def __init__(self, how: str, task_type: str = "TYPE") -> None:
        super().__init__(
            f"{how} after the effect had begun; whether it happened is not known, so there is no retry "
            f"(a type that has the setting [processor:{task_type}] on_ambiguous can allow it)"
        )


class RequestError(DtqsError):
    """The request of a caller cannot be carried out."""


class NotFound(RequestError):
    """The thing does not exist, or the caller may not see it."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        super().__init__(f"there is no {kind} {name}")


class Conflict(RequestError):
    """The thing exists, but its state does not allow the request."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in one field: its path (`payload.outputs[0].width`), and the allowed values."""

    field: str
    message: str


class Invalid(RequestError):
    """One or more fields of a request are wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in self.problems))


class AboveCeiling(Invalid):
    """One or more fields ask for more than the operator allows this API key."""


class TooManyRequests(RequestError):
    """The caller must wait before it asks again."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class Postponed(DtqsError):
    """The attempt may not go on before a time. The task is given back, due then, and no attempt is spent."""

    def __init__(self, delay_seconds: float, why: str) -> None:
        if not (_is_seconds(delay_seconds) and 0 < delay_seconds <= DELAY_SECONDS_LIMIT):
            raise ValueError(f"delay_seconds = {delay_seconds!a:.100}; allowed: above 0, up to {DELAY_SECONDS_LIMIT:g}")
        self.delay_seconds = delay_seconds
        super().__init__(f"postponed by {delay_seconds:.3g} s: {why}")


class TaskCancelled(DtqsError):
    """A cancel interrupted the attempt. There is no further attempt."""

    def __init__(self) -> None:
        super().__init__("a cancel request interrupted the running attempt")


class LeaseLost(DtqsError):
    """The lease of a write has ended: another process has settled its tasks."""

    def __init__(self, lease_id: str) -> None:
        self.lease_id = lease_id
        super().__init__(f"lease {lease_id} has ended: another process has settled its tasks")


def _is_seconds(value: object) -> bool:
    """Tell whether this is a number. True, False and NaN are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
