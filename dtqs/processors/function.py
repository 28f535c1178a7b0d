"""The decorator `@processor("name", payload=Model)`: makes a function a processor. The function stays callable."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from dtqs.processors.base import Context, Json, P, Processor

_CLASS = "__dtqs_processor__"
"""The attribute of a decorated function that holds its Processor class."""
FUNCTION = "__dtqs_function__"
"""The attribute of the method `run` that holds the decorated function."""
F = TypeVar("F", bound=Callable[..., Any])


def processor(
    name: str,
    *,
    payload: type[P],
    light: bool = False,
    max_retries: int | None = None,
    timeout_seconds: float | None = None,
    retry_on_timeout: bool = True,
) -> Callable[[F], F]:
    """Return a decorator that registers `def run(payload, context)` as a task type.

    Processor documents the arguments.
    """

    def decorate(run: F) -> F:
        def run_method(self: Any, payload: P, context: Context) -> Json:
            return run(payload, context)

        setattr(run_method, FUNCTION, run)
        members: dict[str, Any] = {
            "__doc__": run.__doc__,
            "__module__": run.__module__,
            "name": name,
            "payload_model": payload,
            "light": light,
            "max_retries": max_retries,
            "timeout_seconds": timeout_seconds,
            "retry_on_timeout": retry_on_timeout,
            "run": run_method,
        }
        setattr(run, _CLASS, type(run.__name__, (Processor,), members))
        return run

    return decorate


def processor_class(value: object) -> type[Processor[Any, Any]] | None:
    """Return the Processor class of a class or a decorated function; None for anything else."""
    found = getattr(value, _CLASS, value)
    if not (isinstance(found, type) and issubclass(found, Processor)):
        return None
    model = getattr(found, "payload_model", None)
    is_named = isinstance(getattr(found, "name", None), str)
    return found if is_named and isinstance(model, type) and issubclass(model, BaseModel) else None
