"""Publishes hints for tasks that were just stored. Shortly before the grace ends, it puts off the confirmed ones.

Nothing here delays or fails a submit: a keeper's relay publishes hints that were not published or not put off.
"""

import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import gevent
from gevent import get_hub

from dtqs.broker.api_link import ApiLink
from dtqs.confirmed import Confirmed
from dtqs.errors import StoreUnavailable
from dtqs.store.backlog import Backlog
from dtqs.store.tasks import Stored
from dtqs.store.workers import ProcessTotals
from dtqs.task import Due, NewTask

PAUSE_SECONDS, BUSY_PAUSE_SECONDS = 0.005, 0.02
"""Pauses between two publishes. A publish costs a process as much as a whole submit. A lone hint does not wait."""
BUSY_TASKS = 4
"""With this many tasks in one publish, the longer pause holds: shared hints help workers more than early ones."""
HELD_BYTES = 4 << 20
"""The most memory for confirmed hints: about 200,000 tasks. With more of them, the oldest are put off at once."""
_AT_ONCE, _PARTS_OF_A_TURN = 2000, 100
_HELD_PART = 0.6
"""Part of the grace to wait before hints are put off. By then most tasks are claimed, and need nothing."""


class Hinting:
    def __init__(
        self,
        link: ApiLink,
        backlog: Backlog,
        totals: ProcessTotals,
        grace_seconds: float,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._link, self._backlog, self._totals = link, backlog, totals
        self._hold_seconds = grace_seconds * _HELD_PART
        self._held: deque[tuple[float, Confirmed]] = deque()
        self._held_bytes, self._most_bytes = 0, held_bytes
        self._pending: list[Due] = []
        self._last_at, self._pause_seconds = 0.0, PAUSE_SECONDS
        self._timer: Any = None

    def stored(self, tasks: Sequence[NewTask], stored: Sequence[Stored]) -> None:
        """Publish hints for the tasks that are due. `stored` is the result of their commit.

        It lacks tasks that an earlier try stored, whose reply was lost.
        """
        self._totals.submitted += len(tasks)
        self._count(tasks)
        by_id = {task.task_id: task for task in tasks}
        dues = [
            Due(row.task_id, (task := by_id[row.task_id]).task_type, task.light, task.priority, row.publish_at)
            for row in stored
            if row.due
        ]
        if dues:
            self.publish(dues)
        if len(stored) < len(tasks):
            gevent.spawn(self._publish_earlier, list(by_id.keys() - {row.task_id for row in stored}))

    def _publish_earlier(self, task_ids: Sequence[str]) -> None:
        """Publish hints for those of these tasks that are due. If this fails, the relay publishes them later."""
        with suppress(StoreUnavailable):
            if dues := self._backlog.due(task_ids):
                self.publish(dues)

    def publish(self, dues: Sequence[Due]) -> None:
        """Publish a lone hint at once, and several after the reply. Hints within the following pause go together."""
        first = not self._pending
        self._pending += dues
        if not first:
            return
        wait, loop = self._last_at + self._pause_seconds - time.monotonic(), get_hub().loop
        if wait > 0:
            self._timer = loop.timer(wait)
            self._timer.start(self.flush)
        elif len(dues) == 1:
            self.flush()  # after the reply, the client's next request would delay it
        else:
            loop.run_callback(self.flush)

    def flush(self) -> None:
        """Publish all waiting hints."""
        self._last_at = time.monotonic()
        dues, self._pending = self._pending, []
        self._pause_seconds = BUSY_PAUSE_SECONDS if len(dues) >= BUSY_TASKS else PAUSE_SECONDS
        self._totals.published += self._link.publish_hints(dues)

    def put_far_out(self) -> None:
        """Put off hints confirmed some time ago; to be called several times in a grace. Raises StoreUnavailable."""
        for _ in range(_PARTS_OF_A_TURN):
            if self._held_bytes <= self._most_bytes:
                self._hold(self._link.confirmed())
            part = self._ripe()
            if not part:
                return
            self._backlog.far_out(part)

    def _count(self, tasks: Sequence[NewTask]) -> None:
        """Count one commit. Its tasks mostly share a type."""
        tally = self._totals.tally
        tally.observe("commit", "submit", (len(tasks),))
        for task_type, count in Counter([task.task_type for task in tasks]).items():
            tally.add(f"submitted|{task_type}", count)

    def _hold(self, confirmed: Sequence[Confirmed]) -> None:
        ripe_at = time.monotonic() + self._hold_seconds
        self._held += [(ripe_at, group) for group in confirmed]
        self._held_bytes += sum(group.size_bytes for group in confirmed)

    def _ripe(self) -> list[Confirmed]:
        """Return the hints to put off now, and forget them first: after a failure the relay publishes them again."""
        ripe, room, now = list[Confirmed](), _AT_ONCE, time.monotonic()
        while room and self._held and (self._held[0][0] <= now or self._held_bytes > self._most_bytes):
            ripe_at, group = self._held.popleft()
            self._held_bytes -= group.size_bytes
            first, rest = group.split(room)
            if rest:
                self._held.appendleft((ripe_at, rest))
                self._held_bytes += rest.size_bytes
            ripe.append(first)
            room -= first.count
        return ripe
