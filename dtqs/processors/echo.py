"""The task type `echo`: returns its payload. For health checks, tests and benchmarks; some fields make it slow or fail.

Fields that kill a worker or occupy it for long need `[processor:echo] faults = on`: with them one caller could
stop the service.
"""

import os
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from dtqs.errors import PermanentError, Problem, TransientError
from dtqs.processors import checks
from dtqs.processors.base import Context, Json, Processor, ProcessorSettings

SLEEP_SECONDS_LIMIT = 10.0
"""The setting `faults` allows longer sleeps."""


class EchoSettings(ProcessorSettings):
    """The keys of [processor:echo]."""

    faults: bool = Field(
        False,
        description=f"obey exit, spin_seconds and a sleep_seconds above {SLEEP_SECONDS_LIMIT:g}; for tests only: "
        "with them one caller can stop all workers",
    )


class EchoPayload(BaseModel):
    """Any JSON object. Known fields are obeyed, and returned with the others."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, frozen=True)

    sleep_seconds: float = Field(default=0.0, ge=0, le=86400, description="seconds to sleep, spread over the steps")
    spin_seconds: float = Field(
        default=0.0, ge=0, le=86400, description="seconds of pure Python computing, spread over the steps"
    )
    fail: Literal["transient", "permanent"] | None = Field(
        default=None, description="end every attempt with an error of this sort"
    )
    fail_times: int = Field(
        default=0, ge=0, le=1000, description="number of first attempts that fail with a transient error"
    )
    steps: int = Field(default=0, ge=0, le=1000, description="number of progress reports")
    exit: int | None = Field(default=None, ge=0, le=255, description="exit status with which the worker process dies")
    effect: Literal["retry", "fail"] | None = Field(
        default=None,
        description="mark an outside effect first; the value says how to settle the task if its end is unknown",
    )

    _given: Json = PrivateAttr(default=None)

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Validate, and keep the object as it was given.

        An object without known fields, the usual case, skips validation. It saves half the cost of a tiny task here.
        """
        if type(obj) is not dict or not _KNOWN.isdisjoint(obj):
            payload = super().model_validate(obj, **options)
            payload._given = obj
            return payload
        payload = cls.__new__(cls)
        _set(payload, "__dict__", _DEFAULTS)
        _set(payload, "__pydantic_extra__", obj)
        _set(payload, "__pydantic_fields_set__", _NONE_SET)
        _set(payload, "__pydantic_private__", None)
        return payload


_KNOWN = frozenset(EchoPayload.model_fields)
# shared by all payloads without known fields: the model is frozen
_DEFAULTS = {name: field.default for name, field in EchoPayload.model_fields.items()}
_NONE_SET: set[str] = set()
_set = object.__setattr__


class EchoProcessor(Processor[EchoPayload, EchoSettings]):
    """Light, unless the payload asks for a delay, an effect or a death."""

    name = "echo"
    payload_model = EchoPayload
    settings_model = EchoSettings
    light = True
    examples: ClassVar[Sequence[Json]] = ({"hello": "world"}, {"sleep_seconds": 10, "steps": 5}, {"fail_times": 2})

    def is_light(self, payload: EchoPayload) -> bool:
        return not payload.model_fields_set & _KNOWN

    def problems(self, payload: EchoPayload) -> Sequence[Problem]:
        if self.settings.faults or payload.__pydantic_fields_set__ is _NONE_SET:
            return ()
        needs = "needs [processor:echo] faults = on, which is for tests"
        found = [(name, f"{needs}; otherwise leave this field out") for name in _forbidden(payload)]
        if payload.sleep_seconds > SLEEP_SECONDS_LIMIT:
            limit = f"{SLEEP_SECONDS_LIMIT:g}"
            found.append(("sleep_seconds", f"above {limit} {needs}; otherwise 0 to {limit} is allowed"))
        return [Problem(f"payload.{name}", message) for name, message in found]

    def run(self, payload: EchoPayload, context: Context) -> Json:
        if payload.__pydantic_fields_set__ is _NONE_SET:
            return payload.__pydantic_extra__
        checks.refuse(self.problems(payload))
        _obey(payload, context)
        return payload._given


def _forbidden(payload: EchoPayload) -> list[str]:
    """Return the given fields that are dangerous with any value."""
    return [
        name for name, asks in (("exit", payload.exit is not None), ("spin_seconds", payload.spin_seconds > 0)) if asks
    ]


def _obey(payload: EchoPayload, context: Context) -> None:
    if payload.effect is not None:
        context.effect_begins(payload.effect)
    _take_time(payload, context)
    if payload.exit is not None:
        os._exit(payload.exit)
    if payload.fail == "permanent":
        raise PermanentError("the payload asks for a permanent error")
    if payload.fail == "transient":
        raise TransientError("the payload asks for a transient error")
    if context.attempt <= payload.fail_times:
        raise TransientError(
            f"the payload asks for {payload.fail_times} failed attempts; this is attempt {context.attempt}"
        )


def _take_time(payload: EchoPayload, context: Context) -> None:
    parts = max(1, payload.steps)
    for step in range(1, parts + 1):
        if payload.sleep_seconds:
            time.sleep(payload.sleep_seconds / parts)
        if payload.spin_seconds:
            _spin(payload.spin_seconds / parts)
        if payload.steps:
            context.progress(step / parts, f"step {step} of {parts}")


def _spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
