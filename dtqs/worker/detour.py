"""Hints of types that this worker does not run: the relay publishes their tasks again, by the present routes."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence

from dtqs import naming
from dtqs.repeated_line import RepeatedLines

logger = logging.getLogger(__name__)
UNKNOWN_SECONDS = 10.0
"""During a deploy, old workers do not know new types: the tasks wait for new workers."""
_LONGEST_UNKNOWN_SECONDS = 60.0
"""The pause of tasks whose type no worker runs. It ends soon enough for a deploy: a new worker waits no longer."""
_MIXED_SECONDS = 0.2
"""The first pause if the task may come back here, since a queue of this pool carries its type."""
_SECOND_SECONDS = 0.25
"""The pause after the second visit of a task; doubled after each further one."""
_LONGEST_SECONDS = 10.0
_REMEMBERED = 10_000
_TOLD_SECONDS = 60.0


class Detour:
    """`comes_back` tells whether a queue of this pool carries a type by the present routes."""

    def __init__(self, installed: Collection[str], comes_back: Callable[[str], bool]) -> None:
        self._installed, self._comes_back = frozenset(installed), comes_back
        self._visits: OrderedDict[str, int] = OrderedDict()
        self._told: dict[str, float] = {}
        self._unknown = RepeatedLines(logger)

    def pause(self, task_type: str, task_ids: Sequence[str]) -> tuple[float, float]:
        """Return the time until the tasks are published again, and the longest one if no living worker runs them."""
        longest = _LONGEST_UNKNOWN_SECONDS if task_type not in self._installed else 0.0
        return self.seconds(task_type, task_ids), longest

    def seconds(self, task_type: str, task_ids: Sequence[str]) -> float:
        """Return the time until the tasks are published again: none at first, then longer for those that come back."""
        if task_type not in self._installed:
            fields = {"task_type": task_type, **naming.of_ids(task_ids)}
            self._unknown.tell(logging.WARNING, "unknown task type put off", kind=task_type, **fields)
            return UNKNOWN_SECONDS
        self._tell(task_type)
        visits = max(map(self._visit, task_ids), default=1)
        first = _MIXED_SECONDS if self._comes_back(task_type) else 0.0
        return first if visits == 1 else min(_LONGEST_SECONDS, _SECOND_SECONDS * 2.0 ** min(visits - 2, 10))

    def _visit(self, task_id: str) -> int:
        visits = self._visits.pop(task_id, 0) + 1
        self._visits[task_id] = visits
        if len(self._visits) > _REMEMBERED:
            self._visits.popitem(last=False)
        return visits

    def _tell(self, task_type: str) -> None:
        now = time.monotonic()
        if now - self._told.get(task_type, -_TOLD_SECONDS) >= _TOLD_SECONDS:
            self._told[task_type] = now
            logger.info("task type of another pool: its tasks are published again", extra={"task_type": task_type})
