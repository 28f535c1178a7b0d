"""One reader for all streams of a process. An event wakes it, and it reads the news from PostgreSQL.

Only an outcome that an event carries is not read.
"""

import logging
import math
import sys
import time
from collections.abc import Iterable, KeysView

import gevent
from gevent.event import Event as Wake

from dtqs.api.http.byte_room import MOST_BYTES
from dtqs.api.stream.frames import StreamFrame, final
from dtqs.api.stream.pace import GreenletPace, SendingPace
from dtqs.api.stream.reading import read_news
from dtqs.api.stream.registry import TASKS_PER_TURN, Registry
from dtqs.api.stream.unsent import Unsent
from dtqs.api.stream.watcher import Watcher
from dtqs.errors import StoreUnavailable
from dtqs.event import TaskEvent
from dtqs.repeated_fault import RepeatedFaults
from dtqs.store.reads import Reads
from dtqs.task import OUTCOMES, Status, TaskRecord

_PART_OF_CONNECTIONS = 0.8
"""The part of all connections that streams may take. A stream is not ended for a new connection."""
_TASKS_PER_STREAM, _LEAST_TASKS = 10, 10_000
"""Streams may watch as many tasks on average, and this many in any case: they are read again in 7 s."""
_REREADS_PER_SECOND = 1500
"""Most watched tasks that are read again each second, in 8 statements. So 4,000 streams of one task each are read in
3 s, and 40,000 tasks in half a minute."""
_FRAMES_AT_ONCE = 2000
"""Most outcomes that streams get without a wait between them, which takes 2 ms. The reader brings the others."""
logger = logging.getLogger(__name__)


class Hub:
    """Runs in greenlets of one process."""

    def __init__(
        self, reads: Reads, reread_seconds: float, most_bytes: int = MOST_BYTES, most_connections: int = sys.maxsize
    ) -> None:
        """`most_bytes` bounds the bytes that all streams hold for their clients; streams leave some connections."""
        self._reads, self._reread_seconds = reads, reread_seconds
        self._most = max(1, int(most_connections * _PART_OF_CONNECTIONS))
        self._most_rereads = max(TASKS_PER_TURN, int(reread_seconds * _REREADS_PER_SECOND))
        self._registry = Registry(Unsent(most_bytes))
        self.sending = SendingPace()
        """The pace of the streams that send."""
        self._announced: set[str] = set()
        """Tasks whose outcome an event has announced."""
        self._known_ended: set[str] = set()
        """Tasks that a reading found ended. Their log row may be pruned."""
        self._wake = Wake()
        self._greenlet: gevent.Greenlet | None = None
        self.closing = False

    @property
    def count(self) -> int:
        return self._registry.count

    @property
    def watched(self) -> KeysView[str]:
        """The ids of the watched tasks, as a view that follows changes."""
        return self._registry.watched

    def start(self) -> None:
        """Safe to call twice."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Safe to call twice."""
        self.end_streams()
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def end_streams(self) -> None:
        """Let every stream end itself. New ones end at once from now on."""
        self.closing = True
        self._registry.end_streams()

    def admits(self, holder: str, most: int, tasks: int = 1) -> bool:
        """Tell whether a stream of this API key and some tasks may open. Above `most`, others may end for it."""
        if self.closing:
            return False
        most, places = min(most, self._most), self._registry.places
        if not places.make_room_for_tasks(holder, tasks, max(_LEAST_TASKS, most * _TASKS_PER_STREAM)):
            return False
        return self.count < most or places.make_room(holder)

    def add(self, watcher: Watcher) -> None:
        self._registry.add(watcher)
        if self.closing:
            watcher.leave()

    def remove(self, watcher: Watcher, task_ids: Iterable[str]) -> None:
        """Forget a stream and its tasks. Safe to call twice."""
        self._registry.remove(watcher, task_ids)

    def ready(self, watcher: Watcher) -> None:
        """Begin to serve a stream, with the news that came before it was ready."""
        watcher.ready = True
        self.catch_up(watcher)

    def catch_up(self, watcher: Watcher) -> None:
        """Read what a stream missed while it had no room."""
        behind, watcher.behind = watcher.behind, set()
        self._note_news(behind)

    def finish(self, watcher: Watcher, frame: StreamFrame) -> None:
        """Give a stream the final event of one of its tasks, once."""
        self._registry.finish(watcher, frame)

    def on_events(self, events: list[TaskEvent]) -> None:
        """Wake the reader for these events of watched tasks. The broker's link calls it, so it must not wait."""
        news: list[str] = []
        room = _FRAMES_AT_ONCE
        for event in events:
            # The claim of a light task writes no log row, so there is nothing to read. An outcome lacks the id of its
            # row if the reply to its commit was lost.
            if event.log_id is None and event.event not in OUTCOMES:
                continue
            if event.outcome is not None:
                room -= len(self._registry.watchers(event.task_id))
                if room >= 0 and self._finish_all(event.outcome):
                    continue
            news.append(event.task_id)
            if event.event in OUTCOMES:
                self._announced.add(event.task_id)
        self._note_news(news)

    def _finish_all(self, outcome: TaskRecord) -> bool:
        """Give an outcome to all streams of its task. Return False if some stream has no room for it now."""
        return not self._registry.watchers(outcome.task_id) or self._registry.finish_all(final(outcome))

    def _note_news(self, task_ids: Iterable[str]) -> None:
        self._registry.note_news(task_ids)
        if self._registry.has_news:
            self._wake.set()

    def _run(self) -> None:
        reread_at, faults = time.monotonic() + self._reread_seconds, RepeatedFaults(logger)
        while True:
            self._wake.wait(max(0.0, reread_at - time.monotonic()))
            self._wake.clear()
            try:
                self._read_all(until=reread_at)
                if time.monotonic() >= reread_at:
                    self._reread()
                    reread_at = time.monotonic() + self._reread_seconds
                if self._registry.has_news:
                    self._wake.set()
            except StoreUnavailable as error:
                logger.warning("streams wait for the store", extra={"reason": str(error)})
                self._pause()
            except Exception as error:  # one unreadable row must not end every stream
                faults.tell("a turn of the streams failed", error)
                self._pause()

    def _pause(self) -> None:
        gevent.sleep(min(1.0, self._reread_seconds))
        self._wake.set()

    def _read_all(self, until: float = math.inf) -> None:
        """Read until no task has news. News may never end, so it also stops at a time, which the reread needs."""
        while self._registry.has_news and time.monotonic() < until:
            self._read_some()
        self._announced &= self.watched
        self._known_ended &= self.watched

    def _read_some(self) -> None:
        read_news(self._reads, self._registry, self._announced, self._known_ended)

    def _reread(self) -> None:
        """Check watched tasks: an event may be lost, and a log row pruned. Each round checks some of many."""
        taken, pace = self._registry.rereads.take(self._most_rereads), GreenletPace()
        task_ids = list(taken)
        for start in range(0, len(task_ids), TASKS_PER_TURN):
            part = [task_id for task_id in task_ids[start : start + TASKS_PER_TURN] if task_id in self.watched]
            found = self._reads.watched(part) if part else []
            ended = {one.task_id for one in found if one.status in OUTCOMES}
            self._known_ended |= ended
            self._registry.note_news(ended)
            for one in found:
                is_running = one.status is Status.IN_PROGRESS
                self._registry.rereads.found(taken[one.task_id], one.task_id, is_running)
                if self._is_newer(one.task_id, one.last_log_id):
                    self._registry.note_news([one.task_id])
                pace.spend(len(self._registry.watchers(one.task_id)))
            self._read_some()

    def _is_newer(self, task_id: str, last_log_id: int) -> bool:
        return any(last_log_id > watcher.positions[task_id] for watcher in self._registry.watchers(task_id))
