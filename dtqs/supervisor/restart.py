"""Decides when a slot is forked again, and when its child may take tasks; pure.

After a young death the next fork waits. A slot whose children are never ready is given up: it is tried rarely. A child
that a task killed is replaced at once, to take back its leases; after several, the next one takes tasks later.
"""

import random
from dataclasses import dataclass, replace

from dtqs.config import SupervisorSection

_MOST_DOUBLINGS = 62
"""Keeps the power within the range of a float. Every configurable limit is reached long before."""
_JITTER = 0.25
"""Each wait is up to this share longer, so that slots and nodes that fail together do not restart together."""
_GIVEN_UP_TIMES = 10
"""A slot that was given up waits this many times `restart_max_seconds` between two tries."""
_FREE_DEATHS, _WAIT_SECONDS, _WAIT_MAX_SECONDS = 2, 0.25, 1.0
"""The first deaths cost no wait: one poison task must not slow a slot down. The longest wait is short, because the
poison tasks of one caller delay the tasks of others by it."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The history of a slot, and the waits that follow from it.

    `young`: children in a row that died young. `unready`: children in a row that ended before they were ready.
    `fruitless`: children in a row that a task killed soon, before they had finished one.
    `not_before`: monotonic time of the next fork. `wait_seconds`: how long the next child takes no task.
    """

    young: int = 0
    not_before: float = 0.0
    unready: int = 0
    fruitless: int = 0
    wait_seconds: float = 0.0

    def after_death(
        self, lived_seconds: float, now: float, section: SupervisorSection, ready: bool = True
    ) -> "Restart":
        """Return the state after a child's end. The second restart waits for the base, then the wait doubles."""
        if ready and lived_seconds > section.young_seconds:
            return Restart(0, now)
        unready = 0 if ready else self.unready + 1
        not_before = now + _spread(restart_delay_seconds(self.young, section))
        after = replace(self, young=self.young + 1, not_before=not_before, unready=unready)
        if after.given_up(section):
            return replace(after, not_before=now + _spread(_GIVEN_UP_TIMES * section.restart_max_seconds))
        return after

    def after_task_death(self, now: float, section: SupervisorSection, soon: bool, lived_seconds: float) -> "Restart":
        """Return the state after a task has killed its worker.

        `soon`: it died shortly after it began to take tasks, and before it had finished one.
        """
        young = self._young_after(lived_seconds, section)
        if not soon:
            return Restart(young, now, self.unready)
        deaths = self.fruitless + 1
        return Restart(young, now, self.unready, deaths, _spread(_fruitless_seconds(deaths, section)))

    def after_work(self) -> "Restart":
        """Return the state after a task was finished."""
        return replace(self, fruitless=0, wait_seconds=0.0)

    def after_failed_fork(self, now: float, section: SupervisorSection) -> "Restart":
        """Return the state after a failed fork: the slot waits, but its children are not at fault."""
        return replace(self, young=self.young + 1, not_before=now + _spread(restart_delay_seconds(self.young, section)))

    def after_request(self, now: float, lived_seconds: float, section: SupervisorSection) -> "Restart":
        """Return the state after an end that the supervisor asked for."""
        return replace(self, young=self._young_after(lived_seconds, section), not_before=now)

    def after_ready(self) -> "Restart":
        """Return the state after a child has become ready."""
        return replace(self, unready=0)

    def given_up(self, section: SupervisorSection) -> bool:
        """Tell whether `restart_limit` children in a row have ended before they were ready."""
        return self.unready >= section.restart_limit

    def _young_after(self, lived_seconds: float, section: SupervisorSection) -> int:
        """Return the young deaths in a row after the end of a child that was asked to end, or that a task killed."""
        return 0 if lived_seconds > section.young_seconds else self.young


def restart_delay_seconds(young: int, section: SupervisorSection) -> float:
    """Return the delay after a young death, without jitter. `young` counts the young deaths before it."""
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
