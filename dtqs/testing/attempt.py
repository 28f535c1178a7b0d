"""The values that a test checks after an attempt."""

from dataclasses import dataclass, field
from typing import Any, Literal

from dtqs.task import Effect
from dtqs.turn import Turn

Settled = Literal["completed", "failed", "retry", "unspent", "cancelled"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One call of `context.progress`; `fraction` is from 0 to 1."""

    fraction: float
    message: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One call of `context.log`."""

    level: str
    message: str
    data: Any


@dataclass(frozen=True, slots=True)
class Output:
    """One file that the attempt stored."""

    name: str
    media_type: str
    content: bytes = field(repr=False)
    sha256: str

    @property
    def size_bytes(self) -> int:
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt and all its effects, in order.

    `settled` is the settlement of the task: `completed`; `failed`; `retry` (again after a backoff of `delay_seconds`);
    `unspent` (again without spending an attempt, after `Postponed` or a stop); `cancelled`.
    `stored_error` is the error as `dtqs task` shows it.
    """

    settled: Settled
    error: BaseException | None
    stored_result: Any
    stored_error: Any
    delay_seconds: float
    progress: tuple[Progress, ...]
    logs: tuple[LogEntry, ...]
    outputs: dict[str, Output]
    effects: tuple[Effect, ...]
    turns: tuple[Turn, ...]

    @property
    def result(self) -> Any:
        """The result, decoded from JSON. Without a result this raises the error of the attempt."""
        if self.settled != "completed":
            raise self.error or AssertionError(
                f"the attempt has no result, since it is {self.settled}: {self.stored_error}"
            )
        return self.stored_result
