"""Checks of a processor's methods when it is loaded: a wrong sort of function would fail each task."""

import inspect
from collections.abc import Callable
from typing import Any

from dtqs.processors.base import Processor
from dtqs.processors.function import FUNCTION

_METHODS = ("run", "is_light", "problems", "problems_beside", "sources", "close", "kept_pids")


def method_problems(processor: Processor[Any, Any]) -> list[str]:
    """Return a problem for each method that cannot be called as the worker calls it."""
    found = []
    for name in _METHODS:
        method = _function(getattr(processor, name))
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            found.append(f"{name} is async; allowed is a plain function, which may call asyncio.run")
    run = _function(processor.run)
    if inspect.isgeneratorfunction(run):
        found.append("run is a generator; allowed is a function that returns its result")
    if getattr(run, "__func__", None) is Processor.run:
        found.append("run is missing; define run(self, payload, context)")
    elif not _takes_two(run):
        found.append(
            f"run takes {inspect.signature(run, follow_wrapped=False)}; "
            "it is called with two arguments: payload, context"
        )
    return found


def _function(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the decorated function of a method, as it is called: a decorator below may have changed its arguments."""
    found: Callable[..., Any] = getattr(method, FUNCTION, method)
    return found


def _takes_two(run: Callable[..., Any]) -> bool:
    try:
        inspect.signature(run, follow_wrapped=False).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a function in C has no signature
        return True
    return True
