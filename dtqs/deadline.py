"""When to give up (Deadline) and whether somebody asked us to end (Stop): what every wait takes."""

import threading
import time


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
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until the stop is requested, or for so many seconds; tell whether it was."""
        return self._event.wait(seconds)
