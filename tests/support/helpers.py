"""Helpers for tests of every floor: wait for a condition, and find a free port."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 3.0
"""Factor of every wait. A limit catches events that never come; on a busy machine events may take this much longer."""


def eventually(condition: Callable[[], T], timeout_seconds: float = 10.0, what: str = "") -> T:
    """Call the condition until it returns something true, and return that. Fail with `what` when the time is over.

    The pauses are a tenth of the time so far, 10 to 100 ms. Many conditions are requests, which take time themselves.
    """
    began = time.monotonic()
    deadline = began + PATIENCE * timeout_seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            limit = f"{PATIENCE * timeout_seconds:g} s"
            name = what or getattr(condition, "__name__", "condition")
            raise AssertionError(f"not within {limit}: {name} (last seen: {value!r})")
        time.sleep(min(0.1, max(0.01, (time.monotonic() - began) / 10)))
    return value


def free_port() -> int:
    """Return a TCP port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
