"""The relay: publish the due rows of the backlog, with growing pauses, until a worker claims them."""

import logging
import time

from dtqs.broker.keeper_link import KeeperLink
from dtqs.deadline import Deadline
from dtqs.keeper.clock import DatabaseClock
from dtqs.store import Store
from dtqs.store.backlog import FIRST_ID, LAST_ID, LONG_AGO
from dtqs.store.workers import ProcessTotals

logger = logging.getLogger(__name__)
BATCH = 500
_STEP_BATCH = 1000
_FULL_SCAN_SECONDS = 60.0
_BUSY_SECONDS = 1.0


class Relay:
    """Scans the backlog from a moving mark on: a held snapshot would keep the dead index entries below it.

    It scans everything once a minute, and after a step of the clock.
    """

    def __init__(self, store: Store, link: KeeperLink, totals: ProcessTotals, publish_timeout_seconds: float) -> None:
        self._store, self._link, self._totals, self._timeout = store, link, totals, publish_timeout_seconds
        self._mark = LONG_AGO
        self._full_at = 0.0
        self._clock = DatabaseClock()
        self._due_until = 0.0
        self._due_after: str | None = None
        self._due_last = LAST_ID
        self._left_out: tuple[str, str] | None = None
        """The begin and the end of the batches of this pass in which rows were left out."""
        self._found_at = float("-inf")

    @property
    def is_busy(self) -> bool:
        """Whether rows were due lately. Then more come soon, as from tasks that wait for a rate limit one by one.

        Tasks that are published together need the same turn. With a turn each half second, 10 a second became 2.
        """
        return time.monotonic() - self._found_at < _BUSY_SECONDS

    def turn(self) -> bool:
        """Relay one batch. Its rows are committed with a later time first, so no transaction waits for the broker.

        Raises StoreUnavailable, BrokerUnavailable.
        """
        if time.monotonic() >= self._full_at:
            self._full_at, self._mark = time.monotonic() + _FULL_SCAN_SECONDS, LONG_AGO
        next_mark = self._look_at_clock()
        try:
            more = self._make_due_again()
        finally:
            # without a broker the rows stay due
            relayed = self._link.can_publish and self._relay(next_mark)
        return more or relayed

    def _make_due_again(self) -> bool:
        """Make a batch of rows due again after a step of the clock. Return whether the next batch should come at once.

        After the last batch the next turn goes back to those in which rows were left out. It looks at no others: tasks
        have come since then that must wait, though their time is before the step.
        """
        if self._due_after is None:
            return False
        after = self._due_after
        last, _, left_out = self._store.backlog.due_again(self._due_until, after, _STEP_BATCH, self._due_last)
        if last is not None:
            self._due_after = last
            if left_out:
                self._left_out = (self._left_out[0] if self._left_out else after), last
            return True
        (self._due_after, self._due_last), self._left_out = self._left_out or (None, LAST_ID), None
        if self._due_after is None:
            # otherwise the next step would make tasks due that were submitted since for a time before this one
            self._due_until = 0.0
        return False

    def _relay(self, next_mark: str) -> bool:
        """Publish one batch. Return whether more rows may be due."""
        dues, rest, taken = self._store.backlog.relay(self._mark, BATCH)
        self._mark = next_mark if rest is None else rest
        if dues:
            self._found_at = time.monotonic()
            confirmed = self._link.publish_hints(dues, Deadline(self._timeout))
            if confirmed:
                self._totals.published += sum(group.count for group in confirmed)
                self._store.backlog.far_out(confirmed)
        return taken == BATCH

    def _look_at_clock(self) -> str:
        """Return the next mark. After a step of the clock the scan restarts; after one back, due rows must stay due."""
        began = time.monotonic()
        next_mark, shown = self._store.backlog.now()
        if step := self._clock.note(shown, began, time.monotonic()):
            logger.warning("the database's clock was stepped", extra={"seconds": round(step.seconds, 3)})
            self._mark = LONG_AGO
            if step.seconds < 0:
                self._due_until, self._due_after = max(self._due_until, step.until), FIRST_ID
                self._due_last, self._left_out = LAST_ID, None
        return next_mark
