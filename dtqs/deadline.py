"""The two limits of a wait: a Deadline is a point in time, a Stop is a request to end."""

import contextlib
import queue  # by its name: gevent changes the class after this import
import time
from queue import Empty


class Deadline:
    """A point in time on the monotonic clock."""

    __slots__ = ("at",)

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """The seconds that are left; 0 after the deadline."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self.at


class Stop:
    """A request to end. It is never taken back. Signal handlers and all threads may set it."""

    def __init__(self) -> None:
        self._requested = False
        # A signal handler may put to a SimpleQueue. It must not set an Event: the interrupted thread may hold its lock.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        self._requested = True
        self._bell.put(None)

    @property
    def requested(self) -> bool:
        return self._requested

    def wait(self, seconds: float) -> bool:
        """Wait until the stop is requested, for at most `seconds`. Return whether it was requested."""
        if not self._requested:
            with contextlib.suppress(Empty):
                self._bell.get(timeout=max(0.0, seconds))
                self._bell.put(None)  # wakes the next thread that waits
        return self._requested
