"""What tests of every floor use: waiting for a condition, and ports that are free."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 3.0
"""A limit is for what never comes: on a machine that others use too, what comes may take so much longer."""


def eventually(condition: Callable[[], T], timeout_seconds: float = 10.0, what: str = "") -> T:
    """Ask every 20 ms until the condition returns something true, and return that; fail with `what` when the time is over."""
    deadline = time.monotonic() + PATIENCE * timeout_seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"not within {PATIENCE * timeout_seconds:g} s: {what or getattr(condition, '__name__', 'condition')} (last seen: {value!r})"
            )
        time.sleep(0.02)
    return value


def free_port() -> int:
    """Return a TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
