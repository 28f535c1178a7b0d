"""The pauses before a request is repeated: longer each time, as long as Retry-After asks, and within a time limit."""

import random
import time

from dtqs.bare_httpx import httpx
from dtqs.client.errors import ApiUnavailable, ForeignAnswer, WaitOver
from dtqs.deadline import Deadline

MIN_SECONDS, MAX_SECONDS = 0.1, 1.0
"""The pause before the first retry, to which a random time is added, and the longest pause without Retry-After."""


class Again:
    """Decides after each failure of one request whether and when it is repeated.

    The time begins at the first failure, so that a slow first try is repeated too. A silent API has had its time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._pause = seconds, MIN_SECONDS
        self._of_silence, self._deadline = Deadline(seconds), Deadline(seconds)
        self._failed = False

    def pause_after(self, error: ApiUnavailable, wait: Deadline | None) -> None:
        """Sleep before the next try. Raises the error if no retry may come, and WaitOver at a wait's end."""
        if isinstance(error, ForeignAnswer):
            raise error  # another try would get the same answer
        if wait is not None and wait.passed:
            raise WaitOver(str(error)) from error
        if not self._failed:
            self._failed, self._deadline = True, Deadline(self._seconds)
        is_silence = isinstance(error.__cause__, httpx.ReadTimeout)
        if (self._of_silence if is_silence else self._deadline).passed:
            raise error
        asked = error.retry_after_seconds
        if asked > self._deadline.remaining + MAX_SECONDS:
            message = f"{error}; try again after {asked:.0f} s"
            raise ApiUnavailable(message, error.exit_status, retry_after_seconds=asked) from error
        # a random part: the clients that were refused together must not come back together
        seconds = max(min(self._pause + random.random(), MAX_SECONDS), asked * (1 + random.random() / 10))
        time.sleep(seconds if wait is None else min(seconds, wait.remaining))
        self._pause = min(2 * self._pause, MAX_SECONDS)
