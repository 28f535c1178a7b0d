"""The refills of queues that the broker lost: a queue's due tasks are made due for publishing, a batch at a time.

All processes that miss a queue ask for its refill, and one of them does it. The others wait until it has ended, or
until the process is dead.
"""

import threading
import time
from dataclasses import dataclass

from dtqs.routes import Routes
from dtqs.store.backlog import FIRST_ID, Backlog
from dtqs.store.queues import Queues

BATCH = 1000
_MOST_BARREN = 100
"""A queue that was found empty is refilled until this many batches in a row have changed nothing."""
_ASK_SECONDS = 1.0
"""The time until a process asks again whether it has a refill."""


@dataclass(slots=True)
class _Refill:
    """The refill of one queue. Times are monotonic.

    Hints published until `cut_at` are lost. Another refill with a later cut than `missed_at` covers this one.
    """

    missed_at: float
    cut_at: float
    after: str = FIRST_ID
    older_than_seconds: float = 0.0
    most_barren: int | None = None
    barren: int = 0
    has_begin: bool = True
    """Whether it began at the begin of the backlog, or went on there after the end."""
    cut: str | None = None
    """The same time by the database's clock, if this process has the refill."""
    next_at: float = 0.0


class Refills:
    """`lost` is callable from any thread, the rest from one."""

    def __init__(self, backlog: Backlog, queues: Queues, routes: Routes, process_id: str) -> None:
        self._backlog, self._queues, self._routes, self._process_id = backlog, queues, routes, process_id
        self._lock = threading.Lock()
        self._lost: dict[str, tuple[float, float]] = {}
        self._refills: dict[str, _Refill] = {}

    def lost(self, queue: str, missed_at: float, cut_at: float) -> None:
        """Note that a queue was missing at a time and is there from `cut_at` on: its due tasks need new hints."""
        with self._lock:
            self._lost[queue] = max((cut_at, missed_at), self._lost.get(queue, (cut_at, missed_at)))

    def emptied(self, queue: str, after: str, older_than_seconds: float) -> None:
        """Note that a queue lacks hints that are older. Its refill begins behind `after`."""
        if queue not in self._refills:
            now, begins = time.monotonic(), after == FIRST_ID
            refill = _Refill(now, now - older_than_seconds, after, older_than_seconds, _MOST_BARREN, has_begin=begins)
            self._refills[queue] = refill

    def has(self, queue: str) -> bool:
        """Tell whether the refill of a queue has not ended, here or in the process that this one waits for."""
        return queue in self._refills

    def step(self) -> bool:
        """Do a bounded piece of one refill. Return whether more should follow at once. Raises StoreUnavailable."""
        with self._lock:
            lost, self._lost = self._lost, {}
        for queue, (cut_at, missed_at) in lost.items():
            self._begin(queue, missed_at, cut_at)
        for queue, refill in list(self._refills.items()):
            if self._may_go_on(queue, refill):
                self._change_batch(queue, refill)
                return bool(self._refills)
        return False

    def _begin(self, queue: str, missed_at: float, cut_at: float) -> None:
        """Begin a refill, unless one here covers it already: a keeper finds an earlier one that a process has left."""
        present = self._refills.get(queue)
        if present is None:
            self._refills[queue] = _Refill(missed_at, cut_at)
        elif present.most_barren is not None or present.cut_at < cut_at:
            self._refills[queue] = _Refill(max(missed_at, present.missed_at), max(cut_at, present.cut_at))

    def _may_go_on(self, queue: str, refill: _Refill) -> bool:
        """Take or keep the refill. Return whether this process has it."""
        now = time.monotonic()
        if now < refill.next_at:
            return refill.cut is not None
        refill.next_at = now + _ASK_SECONDS  # also after an error: a step must not wait for PostgreSQL each time
        if refill.cut is None or not self._queues.keep_refill(queue, self._process_id, refill.cut):
            ages = now - refill.cut_at, now - refill.missed_at
            refill.cut, is_covered = self._queues.take_refill(queue, self._process_id, *ages)
            if is_covered:
                del self._refills[queue]
        return refill.cut is not None

    def _change_batch(self, queue: str, refill: _Refill) -> None:
        types, routed = self._routes.carried_by(queue)
        older, cut = refill.older_than_seconds, refill.cut
        last, changed = self._backlog.repair(refill.after, BATCH, older, types, routed, cut)
        refill.after = last or FIRST_ID
        refill.barren = 0 if changed else refill.barren + 1
        is_whole, refill.has_begin = refill.has_begin, refill.has_begin or last is None
        if (last is None and is_whole) or refill.barren == refill.most_barren:
            self._queues.keep_refill(queue, self._process_id, cut or "", ended=True)
            del self._refills[queue]
