"""Hints of what was just stored: published at once, and put off in the backlog shortly before their grace ends, where the broker has them.

Nothing here delays or fails a submit: what is not published, or not put off, a keeper's relay publishes.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from gevent import get_hub

from dtqs.broker.api_link import ApiLink
from dtqs.store.backlog import Backlog
from dtqs.store.tasks import Stored
from dtqs.store.workers import ProcessTotals
from dtqs.task import Due, NewTask

PAUSE_SECONDS, BUSY_PAUSE_SECONDS = 0.005, 0.02
"""Between two publishes, each of which costs a process as much as a whole submit. A hint that comes alone does not wait."""
BUSY_TASKS = 4
"""So many tasks in one publish mean that submits come fast, and that workers gain more by hints that are shared than by early ones."""
_HELD_LIMIT = 200_000
_AT_ONCE = 2000
_HELD_PART = 0.6
"""Of the grace: then most tasks are claimed and cost nothing, and there is time left to say it."""


class Hinting:
    def __init__(self, link: ApiLink, backlog: Backlog, totals: ProcessTotals, grace_seconds: float) -> None:
        self._link, self._backlog, self._totals = link, backlog, totals
        self._hold_seconds = grace_seconds * _HELD_PART
        self._held: deque[tuple[float, list[tuple[str, str]]]] = deque()
        self._held_count = 0
        self._pending: list[Due] = []
        self._last_at, self._pause_seconds = 0.0, PAUSE_SECONDS
        self._timer: Any = None

    def stored(self, tasks: Sequence[NewTask], stored: Sequence[Stored]) -> None:
        """Publish hints for those of the tasks that are due; `stored` is what the commit says of them."""
        self._totals.submitted += len(stored)
        by_id = {task.task_id: task for task in tasks}
        dues = [
            Due(row.task_id, (task := by_id[row.task_id]).task_type, task.light, task.priority, row.publish_at)
            for row in stored
            if row.due
        ]
        if dues:
            self.publish(dues)

    def publish(self, dues: Sequence[Due]) -> None:
        """Publish one that comes alone at once, more of them after the reply; what comes within a pause after that goes together, and shares hints."""
        first = not self._pending
        self._pending += dues
        if not first:
            return
        wait, loop = self._last_at + self._pause_seconds - time.monotonic(), get_hub().loop
        if wait > 0:
            self._timer = loop.timer(wait)
            self._timer.start(self.flush)
        elif len(dues) == 1:
            self.flush()  # it waits for nothing, and after the reply there is the client's next request
        else:
            loop.run_callback(self.flush)

    def flush(self) -> None:
        """Publish what waits for its turn."""
        self._last_at = time.monotonic()
        dues, self._pending = self._pending, []
        self._pause_seconds = BUSY_PAUSE_SECONDS if len(dues) >= BUSY_TASKS else PAUSE_SECONDS
        self._totals.published += self._link.publish_hints(dues)

    def put_far_out(self) -> None:
        """Put off what was confirmed some time ago; to be called several times in a grace. Raises StoreUnavailable."""
        if (confirmed := self._link.confirmed()) and self._held_count < _HELD_LIMIT:
            self._held.append((time.monotonic() + self._hold_seconds, confirmed))
            self._held_count += len(confirmed)
        for part in self._ripe():
            self._backlog.far_out(part)

    def _ripe(self) -> Iterator[list[tuple[str, str]]]:
        """Give out what is to be put off now; it is forgotten first, since what cannot be put off is only published again."""
        while self._held and self._held[0][0] <= time.monotonic():
            _, pairs = self._held.popleft()
            self._held_count -= len(pairs)
            for start in range(0, len(pairs), _AT_ONCE):
                yield pairs[start : start + _AT_ONCE]
