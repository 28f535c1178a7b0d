"""Runs blocking calls, such as disk writes, in gevent's threads. Otherwise they would stop every stream."""

from collections.abc import Callable
from typing import TypeVar

from gevent import get_hub

T = TypeVar("T")
_KILLED_WAIT_SECONDS = 60.0


def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """Run a call in a thread and wait for it.

    A killed request still waits: its files must not be closed while the thread uses them.
    """
    running = get_hub().threadpool.spawn(call, *arguments)
    try:
        result: T = running.get()
    except BaseException:
        running.wait(_KILLED_WAIT_SECONDS)
        raise
    return result
