"""When to give up (Deadline) and whether somebody asked us to end (Stop): what every wait takes."""

import contextlib
import time
from queue import Empty, SimpleQueue


class Deadline:
    """A point in time on the monotonic clock."""

    __slots__ = ("at",)

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds that are left, never below zero."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self.at


class Stop:
    """A request to end, made once and never taken back; safe to set from a signal handler or any thread."""

    def __init__(self) -> None:
        self._requested = False
        # a SimpleQueue may be put to from a signal handler; an Event's lock may be held by the very thread that the signal interrupts
        self._bell: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._requested = True
        self._bell.put(None)

    @property
    def requested(self) -> bool:
        return self._requested

    def wait(self, seconds: float) -> bool:
        """Wait until the stop is requested, or for so many seconds; tell whether it was."""
        if not self._requested:
            with contextlib.suppress(Empty):
                self._bell.get(timeout=max(0.0, seconds))
                self._bell.put(None)  # for others who wait
        return self._requested
