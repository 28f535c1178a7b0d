"""Bounds the bytes that all streams of one process hold for their clients: queued events, and the part being sent.

Above the bound, the key with the most bytes loses its streams with the most. Their clients resume them where they were.
"""

import logging
from typing import Protocol

from dtqs.api.stream.frames import StreamFrame

logger = logging.getLogger(__name__)
_SPARE_PART = 16
"""This part of the bound is free after streams have ended for room."""


class UnsentStream(Protocol):
    """A stream, as this bound sees it."""

    @property
    def holder(self) -> str: ...

    @property
    def queued_bytes(self) -> int: ...

    @property
    def taken_bytes(self) -> int: ...

    def end_for_room(self) -> None: ...


class _Held:
    """The bytes of one key. A frame in several of its queues counts once: they share it."""

    __slots__ = ("frames", "size_bytes", "streams")

    def __init__(self) -> None:
        self.size_bytes = 0
        self.frames: dict[int, int] = {}
        self.streams: dict[UnsentStream, None] = {}


class Unsent:
    """All callers are greenlets of one thread, and nothing here waits."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.size_bytes = most_bytes, 0
        self._by_key: dict[str, _Held] = {}

    def queued(self, stream: UnsentStream, frame: StreamFrame) -> None:
        """Count a frame in a stream's queue."""
        held = self._of(stream)
        times = held.frames[id(frame)] = held.frames.get(id(frame), 0) + 1
        if times == 1:
            self._add(held, len(frame.data))

    def unqueued(self, stream: UnsentStream, frame: StreamFrame) -> None:
        """Count a frame no more."""
        held = self._of(stream)
        times = held.frames[id(frame)] = held.frames[id(frame)] - 1
        if not times:
            del held.frames[id(frame)]
            self._add(held, -len(frame.data))

    def taken(self, stream: UnsentStream, size_bytes: int) -> None:
        """Count bytes that are being sent; a negative number has been sent."""
        self._add(self._of(stream), size_bytes)

    def forget(self, stream: UnsentStream) -> None:
        """Forget a stream that holds nothing any more."""
        held = self._by_key.get(stream.holder)
        if held is not None:
            held.streams.pop(stream, None)
            if not held.streams:
                del self._by_key[stream.holder]

    def _of(self, stream: UnsentStream) -> _Held:
        held = self._by_key.get(stream.holder)
        if held is None:
            held = self._by_key[stream.holder] = _Held()
        held.streams[stream] = None
        return held

    def _add(self, held: _Held, size_bytes: int) -> None:
        held.size_bytes += size_bytes
        self.size_bytes += size_bytes
        if size_bytes > 0 and self.size_bytes > self.most_bytes:
            self._make_room()

    def _make_room(self) -> None:
        """End streams until there is room for some more: to search for one at each frame could hold the loop long."""
        wanted = self.most_bytes - self.most_bytes // _SPARE_PART
        while self.size_bytes > wanted and self._end_largest(wanted):
            pass

    def _end_largest(self, wanted_bytes: int) -> bool:
        """End the largest streams of the key with most, until another key has more. Return whether one has ended.

        A stream that holds all bytes alone stays: it could never get an outcome larger than the bound.
        """
        most = max(self._by_key.values(), key=lambda held: held.size_bytes)
        others = max((held.size_bytes for held in self._by_key.values() if held is not most), default=0)
        ended = 0
        for stream in sorted(most.streams, key=_held_bytes, reverse=True):
            if not 0 < _held_bytes(stream) < self.size_bytes:
                break
            stream.end_for_room()
            ended += 1
            if self.size_bytes <= wanted_bytes or most.size_bytes < others:
                break
        if ended:
            logger.info(
                "streams hold too many bytes for their clients: some are ended, and their clients resume them",
                extra={"streams": ended, "most_bytes": self.most_bytes},
            )
        return ended > 0


def _held_bytes(stream: UnsentStream) -> int:
    return stream.queued_bytes + stream.taken_bytes
