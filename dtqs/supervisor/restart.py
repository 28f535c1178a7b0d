"""When a slot may be forked again: pure. A slot whose children die young backs off; one whose child lived for a while is restarted at once."""

from dataclasses import dataclass

from dtqs.config import SupervisorSection

_MOST_DOUBLINGS = 62
"""Keeps the power within what a float holds; every configurable limit is reached long before."""


@dataclass(frozen=True, slots=True)
class Restart:
    """What a slot remembers: how many of its children in a row died young, and the monotonic time before which it is not forked again."""

    young: int = 0
    not_before: float = 0.0

    def after_death(self, lived_seconds: float, now: float, section: SupervisorSection) -> "Restart":
        """Return what follows a child's end, or a fork that failed: the first restart comes at once, the second after the base, then doubled."""
        if lived_seconds > section.young_seconds:
            return Restart(0, now)
        return Restart(self.young + 1, now + backoff_seconds(self.young, section))

    def after_request(self, now: float) -> "Restart":
        """Return what follows an end that we asked for ourselves."""
        return Restart(self.young, now)


def backoff_seconds(young: int, section: SupervisorSection) -> float:
    """Return the delay after one more young death when there were so many before."""
    if young == 0:
        return 0.0
    return float(min(section.restart_max_seconds, section.restart_base_seconds * 2 ** min(young - 1, _MOST_DOUBLINGS)))
