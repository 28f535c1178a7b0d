"""Makes a processor of a plain function: `@processor("name", payload=Model)`."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from dtqs.processors.base import Context, Json, NoSettings, P, Processor


def processor(
    name: str,
    *,
    payload: type[P],
    light: bool = False,
    max_retries: int | None = None,
    timeout_seconds: float | None = None,
    retry_on_timeout: bool = True,
) -> Callable[[Callable[[P, Context], Json]], type[Processor[P, NoSettings]]]:
    """Return a decorator that makes a Processor class of `def run(payload, context)`. What the arguments mean, Processor says."""

    def decorate(run: Callable[[P, Context], Json]) -> type[Processor[P, NoSettings]]:
        members: dict[str, Any] = {
            "__doc__": run.__doc__,
            "__module__": run.__module__,
            "name": name,
            "payload_model": payload,
            "light": light,
            "max_retries": max_retries,
            "timeout_seconds": timeout_seconds,
            "retry_on_timeout": retry_on_timeout,
            "run": lambda self, payload, context: run(payload, context),
        }
        return type(run.__name__, (Processor,), members)

    return decorate


def is_processor(value: object) -> bool:
    """Tell whether the value is a class that can be registered: with a name and a payload model."""
    if not (isinstance(value, type) and issubclass(value, Processor)):
        return False
    model = getattr(value, "payload_model", None)
    return isinstance(getattr(value, "name", None), str) and isinstance(model, type) and issubclass(model, BaseModel)
