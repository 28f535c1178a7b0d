"""A bounded queue, and the thread that sends what is in it. When the queue is full, it drops and counts.

The batch processor of OpenTelemetry would start a thread in every later fork, so also in each jailed child.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")
ROOM = 8192
"""Most spans that wait, about: the thread needs some megabytes for them."""
_EVERY_SECONDS = 1.0
_REPORT_SECONDS = 60.0


class SpanQueue(Generic[T]):
    """`put` never waits. It is called by one thread, or by greenlets of one thread.

    `send` gets items of together about `at_once` spans. It returns how many spans were lost.
    """

    def __init__(
        self, send: Callable[[list[T]], int], at_once: int, note: Callable[[str, float], None] = lambda *_: None
    ) -> None:
        """`note` gets the losses so far, by the name of a total of dtqs/tally.py."""
        self._send, self._at_once, self._note = send, at_once, note
        self._items: deque[tuple[T, int]] = deque()
        # each number has one writer, so none needs a lock
        self._put = self._taken = self._lost = 0
        self.dropped = 0
        self._reported, self._report_at = 0, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: T, spans: int = 1) -> None:
        """Queue an item for this many spans, or drop it if there is no room."""
        if self._put - self._taken + spans > ROOM:
            self.dropped += spans
            return
        self._put += spans
        self._items.append((item, spans))

    def stop(self, seconds: float) -> None:
        """Send the rest, for so long. The thread may go on then, and ends with the process."""
        self._stop.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self._send_all()
        self._send_all()
        self._report_at = 0.0
        self._report()

    def _send_all(self) -> None:
        while self._items:
            began = time.thread_time()
            self._send_some()
            self._report()
            # at most half of this interpreter's time: tasks and requests need it too
            self._stop.wait(min(time.thread_time() - began, _EVERY_SECONDS))

    def _send_some(self) -> None:
        items: list[T] = []
        spans = 0
        while self._items and spans < self._at_once:
            item, count = self._items.popleft()
            items.append(item)
            spans += count
        try:
            self._lost += self._send(items)
        except Exception:  # a fault of the library must not end the thread
            logger.exception("spans could not be sent")
            self._lost += spans
        self._taken += spans

    def _report(self) -> None:
        """Note losses, and log them at most once in a minute."""
        lost, now = self._lost + self.dropped, time.monotonic()
        if lost:
            self._note("spans_lost|no_room", self.dropped)
            self._note("spans_lost|not_taken", self._lost)
        if lost > self._reported and now >= self._report_at:
            fields = {"spans": lost - self._reported, "without_room": self.dropped}
            logger.warning("spans lost: the collector does not take them, or not as fast as they come", extra=fields)
            self._reported, self._report_at = lost, now + _REPORT_SECONDS
