"""Readings of the system for the dashboard. One reader serves all streams of a process; it pauses without streams."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import gevent
import orjson
from gevent.event import Event as Wake
from gevent.lock import BoundedSemaphore

from dtqs.readings import History, Reading, Throughput

EVERY_SECONDS = 2.0
LINGER_SECONDS = 20.0
"""Time for which reading continues without streams: a reloaded page finds its charts."""
POINTS = 150
VIEWERS_LIMIT = 200
TURN_SECONDS = 10.0
"""Time limit of the wait for a reading of others. One takes up to 4 s while a server is away."""

logger = logging.getLogger(__name__)


class ReadingsCrowded(Exception):
    """Other readings have not ended in time."""


@dataclass(frozen=True, slots=True)
class Point:
    """Values of one reading for the charts; null for a server that was away."""

    at: float
    submitted: float | None
    completed: float | None
    failed: float | None
    pending: int | None
    later: int | None
    in_progress: int | None
    wait_p50: float | None
    wait_p95: float | None
    run_p50: float | None
    run_p95: float | None
    busy: int | None
    workers: int | None


class Viewer:
    """One stream. A slow stream skips readings and gets only the newest."""

    def __init__(self) -> None:
        self.wake = Wake()
        self.seen = 0
        self.leaving = False

    def leave(self) -> None:
        """End the stream at the next opportunity."""
        self.leaving = True
        self.wake.set()


class DashboardFeed:
    """Reads the system and wakes the streams. `read` waits for servers, so it runs in a greenlet."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read
        self._history = History()
        self._one_at_a_time = BoundedSemaphore()
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._viewers: set[Viewer] = set()
        self._greenlet: gevent.Greenlet | None = None
        self._left_at = 0.0
        self._last, self._last_began_at = b"", float("-inf")
        self.number = 0
        self.newest = b""
        self.closing = False

    @property
    def is_full(self) -> bool:
        """Whether a new stream must be refused."""
        return self.closing or len(self._viewers) >= VIEWERS_LIMIT

    def add(self, viewer: Viewer) -> None:
        """Add a stream; start reading with the first one."""
        self._viewers.add(viewer)
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def remove(self, viewer: Viewer) -> None:
        """Remove a stream. Safe to call twice."""
        self._viewers.discard(viewer)
        self._left_at = time.monotonic()

    def history(self) -> bytes:
        """Return the points of the last minutes, as JSON."""
        return orjson.dumps(list(self._points))

    def one(self) -> bytes:
        """Return the newest reading as JSON; without streams, take a new one. Raises ReadingsCrowded.

        Callers that wait for a reading share the next one: it begins after they have come.
        """
        if self.newest:
            return self.newest
        came_at = time.monotonic()
        if not self._one_at_a_time.acquire(timeout=TURN_SECONDS):
            raise ReadingsCrowded
        try:
            return self._last if self._last_began_at >= came_at else self._read_one()
        finally:
            self._one_at_a_time.release()

    def end_streams(self) -> None:
        """End all streams and refuse new ones."""
        self.closing = True
        for viewer in list(self._viewers):
            viewer.leave()

    def stop(self) -> None:
        """End streams and reading. Safe to call twice."""
        self.end_streams()
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def _run(self) -> None:
        while self._viewers or time.monotonic() < self._left_at + LINGER_SECONDS:
            began = time.monotonic()
            try:
                self.newest = self._take()
                self.number += 1
            except Exception:  # a failed reading must not end all streams
                logger.exception("a reading failed")
            for viewer in self._viewers:
                viewer.wake.set()
            gevent.sleep(max(EVERY_SECONDS / 4, began + EVERY_SECONDS - time.monotonic()))
        self._greenlet, self.newest = None, b""

    def _take(self) -> bytes:
        with self._one_at_a_time:
            return self._read_one()

    def _read_one(self) -> bytes:
        began_at = time.monotonic()
        reading = self._read()
        self._history.add(reading, time.monotonic())
        rates = self._history.rates
        point = _point(reading, rates)
        self._points.append(point)
        self._last, self._last_began_at = orjson.dumps({"reading": reading, "rates": rates, "point": point}), began_at
        return self._last


def _point(reading: Reading, rates: Throughput | None) -> Point:
    depth, latency, workers = reading.depth, reading.latency, reading.worker_counts
    return Point(
        at=round(reading.at, 3),
        submitted=rates.submitted if rates else None,
        completed=rates.completed if rates else None,
        failed=rates.failed if rates else None,
        pending=depth.pending if depth else None,
        later=depth.later if depth else None,
        in_progress=depth.in_progress if depth else None,
        wait_p50=latency.wait_p50 if latency else None,
        wait_p95=latency.wait_p95 if latency else None,
        run_p50=latency.run_p50 if latency else None,
        run_p95=latency.run_p95 if latency else None,
        busy=workers.busy if workers else None,
        workers=workers.workers if workers else None,
    )
