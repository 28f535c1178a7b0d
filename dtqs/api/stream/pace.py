"""Lets connections and other greenlets have their turn during long work on streams.

gevent looks at connections and timers only after 50 callbacks, if greenlets are ready. Measured: 100 tasks that ended
for 4,000 streams each held the loop for 0.45 s, and 20 streams of 100 tasks that ended together for 0.19 s.
"""

from collections import OrderedDict, deque

import gevent
from gevent.event import Event as Wake

_STEPS = 2000
"""A step is an event for one stream, and takes 1 to 2 µs."""
_ROUND_BYTES, _FRAME_BYTES = 2 << 20, 1 << 10
"""Bytes that streams may encode between two looks at the connections, which takes about 5 ms; and the cost of an event
beside its own bytes."""
_AT_ONCE_SECONDS = 1e-6


def look_at_connections() -> None:
    """Wait until the loop has looked at all connections and timers. `sleep(0)` waits for ready greenlets only."""
    gevent.sleep(_AT_ONCE_SECONDS)


class GreenletPace:
    """Counts the steps of a greenlet that may wait."""

    def __init__(self) -> None:
        self._left = _STEPS

    def spend(self, steps: int = 1) -> None:
        """Wait for the others after some steps. The caller must expect that any stream changes here."""
        self._left -= steps
        if self._left <= 0:
            self._left = _STEPS
            look_at_connections()


class SendingPace:
    """The pace of all streams of a process together. If they have much to send, they wait, and keys take turns."""

    def __init__(self) -> None:
        self._left = _ROUND_BYTES
        self._waiting: OrderedDict[str, deque[Wake]] = OrderedDict()
        """The streams of each key that wait, longest first. The key whose turn is next comes first."""
        self._is_serving = False

    def turn(self, holder: str) -> None:
        """Wait for a turn to encode. `holder` is the key of the stream, and any stream may change here."""
        if self._left > 0 and not self._is_serving:
            return
        wake = Wake()
        self._waiting.setdefault(holder, deque()).append(wake)
        if not self._is_serving:
            self._is_serving = True
            gevent.spawn(self._serve)
        wake.wait()

    def spend(self, frames: int, size_bytes: int) -> None:
        """Count encoded events."""
        self._left -= frames * _FRAME_BYTES + size_bytes

    def _serve(self) -> None:
        try:
            while self._waiting:
                look_at_connections()
                self._left = _ROUND_BYTES
                while self._waiting and self._left > 0:
                    self._next().set()
                    gevent.sleep(0)  # it encodes now, and spends
        finally:
            self._is_serving = False

    def _next(self) -> Wake:
        holder, line = next(iter(self._waiting.items()))
        self._waiting.move_to_end(holder)
        wake = line.popleft()
        if not line:
            del self._waiting[holder]
        return wake
