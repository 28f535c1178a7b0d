"""Waiting for the disk without stopping every stream of the process: calls that may block go to gevent's threads."""

from collections.abc import Callable
from typing import TypeVar

from gevent import get_hub

T = TypeVar("T")
_KILLED_WAIT_SECONDS = 60.0


def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """Run it in a thread and wait. A request that is killed meanwhile still waits: what it holds is not to be closed under the thread."""
    running = get_hub().threadpool.spawn(call, *arguments)
    try:
        result: T = running.get()
    except BaseException:
        running.wait(_KILLED_WAIT_SECONDS)
        raise
    return result
