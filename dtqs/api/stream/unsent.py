"""Bounds the bytes that all streams of one process hold for their clients: queued events, and the part being sent.

Above the bound, the key with the most bytes loses its stream with the most. Its client resumes it where it was.
"""

import logging
from typing import Protocol

from dtqs.api.stream.frames import StreamFrame

logger = logging.getLogger(__name__)


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
        while size_bytes > 0 and self.size_bytes > self.most_bytes and self._end_one():
            pass

    def _end_one(self) -> bool:
        """End a stream, unless it holds all bytes alone: it could never get an outcome larger than the bound."""
        most = max(self._by_key.values(), key=lambda held: held.size_bytes)
        ended = max(most.streams, key=_held_bytes)
        held_bytes = _held_bytes(ended)
        if held_bytes >= self.size_bytes:
            return False
        logger.info(
            "streams hold too many bytes for their clients: one is ended, and its client resumes it",
            extra={"held_bytes": held_bytes, "most_bytes": self.most_bytes},
        )
        ended.end_for_room()
        return True


def _held_bytes(stream: UnsentStream) -> int:
    return stream.queued_bytes + stream.taken_bytes
