"""When a slot may be forked again, and when its child may take tasks: pure. Children that die young are put off; a slot
whose children are never ready is given up and tried rarely. A child that a task kills is replaced at once, to take back
what it held; but where none of them has finished a task, each next one waits longer before it takes any.
"""

import random
from dataclasses import dataclass, replace

from dtqs.config import SupervisorSection

_MOST_DOUBLINGS = 62
"""Keeps the power within what a float holds; every configurable limit is reached long before."""
_JITTER = 0.25
"""Up to so much is added to each wait: slots and nodes that fail together do not come back together."""
_GIVEN_UP_TIMES = 10
"""So many times the longest wait lies between two tries of a slot that was given up."""
_FREE_DEATHS, _WAIT_SECONDS, _WAIT_MAX_SECONDS = 2, 0.25, 1.0
"""The first deaths cost no wait: one poison task must not slow a slot. The longest wait is short: poison tasks of one
caller delay the tasks of others by it."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The memory of a slot: how many of its children in a row died young, the monotonic time before which it is not forked again, and how many
    in a row ended before they were ready.

    `fruitless`: how many in a row a task has killed soon, before they had finished any.
    `wait_seconds`: for how long the next one takes none.
    """

    young: int = 0
    not_before: float = 0.0
    unready: int = 0
    fruitless: int = 0
    wait_seconds: float = 0.0

    def after_death(
        self, lived_seconds: float, now: float, section: SupervisorSection, ready: bool = True
    ) -> "Restart":
        """Return what follows a child's end: the first restart comes at once, the second after the base, then doubled."""
        if ready and lived_seconds > section.young_seconds:
            return Restart(0, now)
        unready, not_before = (
            0 if ready else self.unready + 1,
            now + _spread(restart_delay_seconds(self.young, section)),
        )
        after = replace(self, young=self.young + 1, not_before=not_before, unready=unready)
        if after.given_up(section):
            return replace(after, not_before=now + _spread(_GIVEN_UP_TIMES * section.restart_max_seconds))
        return after

    def after_task_death(self, now: float, section: SupervisorSection, soon: bool) -> "Restart":
        """Return what follows the end of a child that its task has killed.

        `soon`: shortly after it began to take tasks, and before it had finished one.
        """
        if not soon:
            return Restart(self.young, now, self.unready)
        deaths = self.fruitless + 1
        return Restart(self.young, now, self.unready, deaths, _spread(_fruitless_seconds(deaths, section)))

    def after_work(self) -> "Restart":
        """Return what follows a task that was finished."""
        return replace(self, fruitless=0, wait_seconds=0.0)

    def after_failed_fork(self, now: float, section: SupervisorSection) -> "Restart":
        """Return what follows a fork that failed: the slot backs off, and nothing is said about what would run in it."""
        return replace(self, young=self.young + 1, not_before=now + _spread(restart_delay_seconds(self.young, section)))

    def after_request(self, now: float) -> "Restart":
        """Return what follows an end that we asked for ourselves."""
        return replace(self, not_before=now)

    def after_ready(self) -> "Restart":
        """Return what follows a child that has become ready."""
        return replace(self, unready=0)

    def given_up(self, section: SupervisorSection) -> bool:
        """Tell whether so many children in a row have ended before they were ready that the next ones will, too."""
        return self.unready >= section.restart_limit


def restart_delay_seconds(young: int, section: SupervisorSection) -> float:
    """Return the delay after one more young death when there were so many before, without its jitter."""
    if young == 0:
        return 0.0
    return float(min(section.restart_max_seconds, section.restart_base_seconds * 2 ** min(young - 1, _MOST_DOUBLINGS)))


def _fruitless_seconds(deaths: int, section: SupervisorSection) -> float:
    if deaths <= _FREE_DEATHS:
        return 0.0
    most = min(section.restart_max_seconds, _WAIT_MAX_SECONDS)
    return float(min(most, _WAIT_SECONDS * 2 ** min(deaths - _FREE_DEATHS - 1, _MOST_DOUBLINGS)))


def _spread(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.0 + _JITTER)
