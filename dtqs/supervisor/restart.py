"""When a slot may be forked again: pure. A slot whose children die young backs off; one whose child lived for a while is restarted at once.

One whose children end again and again before they are ready is given up: it is tried far more rarely from then on.
"""

import random
from dataclasses import dataclass

from dtqs.config import SupervisorSection

_MOST_DOUBLINGS = 62
"""Keeps the power within what a float holds; every configurable limit is reached long before."""
_JITTER = 0.25
"""Up to so much is added to each wait: slots and nodes that fail together do not come back together."""
_GIVEN_UP_TIMES = 10
"""So many times the longest wait lies between two tries of a slot that was given up."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The memory of a slot: how many of its children in a row died young, the monotonic time before which it is not forked again, and how many
    in a row ended before they were ready."""

    young: int = 0
    not_before: float = 0.0
    unready: int = 0

    def after_death(
        self, lived_seconds: float, now: float, section: SupervisorSection, ready: bool = True
    ) -> "Restart":
        """Return what follows a child's end: the first restart comes at once, the second after the base, then doubled."""
        if ready and lived_seconds > section.young_seconds:
            return Restart(0, now)
        after = Restart(
            self.young + 1, now + _spread(backoff_seconds(self.young, section)), 0 if ready else self.unready + 1
        )
        if after.given_up(section):
            return Restart(after.young, now + _spread(_GIVEN_UP_TIMES * section.restart_max_seconds), after.unready)
        return after

    def after_failed_fork(self, now: float, section: SupervisorSection) -> "Restart":
        """Return what follows a fork that failed: the slot backs off, and nothing is said about what would run in it."""
        return Restart(self.young + 1, now + _spread(backoff_seconds(self.young, section)), self.unready)

    def after_request(self, now: float) -> "Restart":
        """Return what follows an end that we asked for ourselves."""
        return Restart(self.young, now, self.unready)

    def after_ready(self) -> "Restart":
        """Return what follows a child that has become ready."""
        return Restart(self.young, self.not_before)

    def given_up(self, section: SupervisorSection) -> bool:
        """Tell whether so many children in a row have ended before they were ready that the next ones will, too."""
        return self.unready >= section.restart_limit


def backoff_seconds(young: int, section: SupervisorSection) -> float:
    """Return the delay after one more young death when there were so many before, without its jitter."""
    if young == 0:
        return 0.0
    return float(min(section.restart_max_seconds, section.restart_base_seconds * 2 ** min(young - 1, _MOST_DOUBLINGS)))


def _spread(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.0 + _JITTER)
