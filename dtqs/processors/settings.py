"""The keys that the section `[processor:NAME]` of every task type has."""

from typing import Any

from pydantic import Field

from dtqs.config import Section
from dtqs.task import MAX_RETRIES_LIMIT, TIMEOUT_SECONDS_LIMIT


def retries_field(left_out: str) -> Any:
    """Return the field `max_retries`; `left_out` says what holds without it."""
    return Field(
        default=None,
        ge=0,
        le=MAX_RETRIES_LIMIT,
        description=f"retries after the first attempt; left out: {left_out}",
    )


class ProcessorSettings(Section):
    """The keys of `[processor:NAME]` that every type has. Settings models extend it."""

    max_retries: int | None = retries_field("the task type's default")
    timeout_seconds: float | None = Field(
        default=None,
        ge=0.1,
        le=TIMEOUT_SECONDS_LIMIT,
        description="seconds that an attempt may take; left out: the task type's default",
    )
    attempt_memory_bytes: int | None = Field(
        default=None,
        ge=1 << 20,
        le=1 << 44,
        description="address space that an attempt may add to its worker; left out: no limit",
    )
    attempt_cpu_seconds: int | None = Field(
        default=None,
        ge=1,
        le=30 * 86400,
        description="seconds of processor time that an attempt may use in its worker; left out: no limit",
    )
    attempt_file_bytes: int | None = Field(
        default=None,
        ge=1024,
        le=1 << 44,
        description="size of a file that an attempt may write; left out: no limit",
    )


class NoSettings(ProcessorSettings):
    """The settings of a processor without keys of its own."""
