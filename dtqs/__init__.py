"""DTQS: a distributed task queue on PostgreSQL and RabbitMQ. Authors of processors import the names of this module."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dtqs.errors import DtqsError, InputRefused, PermanentError, Problem, TransientError
    from dtqs.processors.base import Context, Json, Payload, Processor, ProcessorSettings, Source
    from dtqs.processors.function import processor
    from dtqs.task import Effect
    from dtqs.turn import Turn

__version__ = "0.1.0"
__all__ = [
    "Context",
    "DtqsError",
    "Effect",
    "InputRefused",
    "Json",
    "Payload",
    "PermanentError",
    "Problem",
    "Processor",
    "ProcessorSettings",
    "Source",
    "TransientError",
    "Turn",
    "processor",
]

_HOME = {
    **dict.fromkeys(("DtqsError", "InputRefused", "PermanentError", "Problem", "TransientError"), "dtqs.errors"),
    **dict.fromkeys(("Context", "Json", "Payload", "Processor", "ProcessorSettings", "Source"), "dtqs.processors.base"),
    "processor": "dtqs.processors.function",
    "Effect": "dtqs.task",
    "Turn": "dtqs.turn",
}


def __getattr__(name: str) -> Any:
    """Import a name at its first use. The supervisor imports this package as well, and needs no name of it."""
    if name not in _HOME:
        raise AttributeError(f"module 'dtqs' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
