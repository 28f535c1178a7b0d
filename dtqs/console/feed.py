"""The reading thread: reads the data of the current view at an interval and when the view changes, and runs actions.

The screen never waits for it.
"""

import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from dtqs.console.listing import Listing
from dtqs.console.overview import TALL
from dtqs.console.snapshot import Detail, LogsWanted, Snapshot, Wanted
from dtqs.errors import DtqsError, NotFound, StoreUnavailable
from dtqs.readings import History, Reading, SystemLogRow, SystemReader
from dtqs.store.reads import Reads

logger = logging.getLogger(__name__)
_LOG_ROWS = 300
_FAILURES = 10
_POINTS = 60
_TASK_LOG_ROWS = 1000
_SERIES = ("submitted", "started", "completed", "failed", "retried")


class ConsoleFeed:
    """Source of snapshots. The thread replaces `snapshot` as a whole; the screen calls `want` and `act`."""

    def __init__(
        self, reader: SystemReader, reads: Reads, act: Callable[[str, str], str], every_seconds: float
    ) -> None:
        self._reader, self._reads, self._do, self._every = reader, reads, act, every_seconds
        self._listing = Listing(reads)
        self.snapshot = Snapshot()
        self._history = History()
        self._lost_at: dict[str, float] = {}
        self._wanted = Wanted()
        self._actions: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="console feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread. It may be waiting for a server that is down, so the wait for it is short."""
        self._end.set()
        self._wake.set()
        self._thread.join(0.5)

    def want(self, wanted: Wanted) -> None:
        if wanted != self._wanted:
            self._wanted = wanted
            self._wake.set()

    def act(self, action: str, task_id: str) -> None:
        self._actions.put((action, task_id))
        self._wake.set()

    def _run(self) -> None:
        next_at = 0.0
        while not self._end.is_set():
            self._wake.clear()
            try:
                self._act_on_all()
                due = time.monotonic() >= next_at
                if due:
                    next_at = time.monotonic() + self._every
                self._publish(self._wanted, due)
            except Exception as error:  # the screen outlives a failed reading and shows the error
                logger.exception("a reading failed")
                self.snapshot = dataclasses.replace(self.snapshot, broken=f"{type(error).__name__}: {error}")
            self._wake.wait(max(0.0, next_at - time.monotonic()))

    def _act_on_all(self) -> None:
        while not self._actions.empty():
            notice = self._do(*self._actions.get())
            self.snapshot = dataclasses.replace(
                self.snapshot, notice=notice, notice_number=self.snapshot.notice_number + 1
            )

    def _publish(self, wanted: Wanted, due: bool) -> None:
        """Read the current view first, so that an opened task does not wait for the whole reading."""
        last = self.snapshot
        shown = {"fault": "", **self._shown(wanted)}
        reading = (
            self._reader.read(wanted.rows, wanted.rows, _FAILURES) if due or last.reading is None else last.reading
        )
        now = time.monotonic()
        if reading is not last.reading:
            self._lost_at = _lost_at(reading, self._lost_at, now)
            self._history.add(reading, now)
        self.snapshot = dataclasses.replace(
            last,
            reading=reading,
            good=reading if reading.totals is not None else last.good,
            away_seconds={name: now - lost_at for name, lost_at in self._lost_at.items()},
            rates=self._history.rates,
            series={name: self._history.series(name, _POINTS) for name in _SERIES}
            if reading is not last.reading
            else last.series,
            broken="",
            **shown,
        )

    def _shown(self, wanted: Wanted) -> dict[str, Any]:
        """Read the data of the current view. After an error the old data stays; the head reports a lost PostgreSQL."""
        try:
            if wanted.task_id is not None:
                return {"detail": self._detail(wanted.task_id)}
            if wanted.tab == "logs":
                return {"logs": tuple(self._logs(wanted.logs)), "logs_of": wanted.logs}
            if wanted.tab == "overview" and wanted.rows >= TALL:
                return {"logs": tuple(self._logs(LogsWanted())), "logs_of": LogsWanted()}
            if wanted.tab == "queue" and wanted.tasks.text:
                found, more = self._listing.look(wanted.tasks, wanted.further)
                return {"listing": found, "listing_of": wanted.tasks, "listing_more": more}
        except DtqsError as error:
            away = isinstance(error, StoreUnavailable) and self.snapshot.stale
            return {"fault": "" if away else str(error)}
        return {}

    def _logs(self, wanted: LogsWanted) -> list[SystemLogRow]:
        return self._reader.newest_logs(_LOG_ROWS, wanted.level or None, wanted.task_id or None, wanted.search or None)

    def _detail(self, task_id: str) -> Detail:
        try:
            record = self._reads.task(task_id)
        except NotFound:
            return Detail(task_id, None)
        return Detail(task_id, record, tuple(self._reader.newest_logs(_TASK_LOG_ROWS, task_id=task_id)))


def _lost_at(reading: Reading, before: Mapping[str, float], now: float) -> dict[str, float]:
    """Return for each server that is away the monotonic time of its loss."""
    return {
        health.name: before.get(health.name, now)
        for health in (reading.database, reading.broker)
        if health.state == "away"
    }
