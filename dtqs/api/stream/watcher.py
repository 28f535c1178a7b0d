"""One stream as the hub sees it: its position in each task's log, its queue, and back-pressure.

The database is the buffer of a stream: a stream without room is marked as behind, and reads on when it has room.
"""

from collections import deque
from collections.abc import Callable

from gevent.event import Event as Wake

from dtqs.api.stream.frames import StreamFrame
from dtqs.api.stream.unsent import Unsent

QUEUE_LIMIT = 256
QUEUE_BYTES = 8 << 20
"""Limits of unsent frames and their bytes. Above either, a stream gets nothing until half of its queue is sent."""


class Watcher:
    """One stream. `positions` maps each task without its final event to the last log id in the queue.

    `holder` names its API key.
    """

    def __init__(self, positions: dict[str, int], holder: str = "") -> None:
        self.positions, self.holder = positions, holder
        self.queue: deque[StreamFrame] = deque()
        self.queued_bytes = self.taken_bytes = 0
        self.unsent: Unsent | None = None
        """The bound of all streams, while this one is open."""
        self.cut: Callable[[], None] = lambda: None
        """Ends the connection of a client to which bytes are being sent."""
        self.wake = Wake()
        self.behind: set[str] = set()
        """Tasks with news that the stream had no room for."""
        self.ended: set[str] = set()
        """Tasks that lack only their final event, and have no new log row that would announce it."""
        self.ready = self.leaving = self.is_ended_for_room = False

    @property
    def has_room(self) -> bool:
        is_served = self.ready and not self.is_ended_for_room
        return is_served and len(self.queue) < QUEUE_LIMIT and self.queued_bytes < QUEUE_BYTES

    @property
    def is_low(self) -> bool:
        """Half of the queue is sent. One read serves many tasks, so a stream does not read after each frame."""
        return self.has_room and len(self.queue) <= QUEUE_LIMIT // 2 and self.queued_bytes <= QUEUE_BYTES // 2

    def enter(self, unsent: Unsent) -> None:
        """Count from now on in the bound of all streams."""
        queued, self.queue, self.queued_bytes, self.unsent = self.queue, deque(), 0, unsent
        for frame in queued:
            self.put(frame)

    def put(self, frame: StreamFrame) -> None:
        if self.is_ended_for_room:
            return
        self.queue.append(frame)
        self.queued_bytes += len(frame.data)
        self.wake.set()
        if self.unsent is not None:
            self.unsent.queued(self, frame)

    def take(self) -> StreamFrame:
        """Remove and return the next frame. The stream sends it now."""
        frame = self.queue.popleft()
        self.queued_bytes -= len(frame.data)
        if self.unsent is not None:
            self.unsent.unqueued(self, frame)
        return frame

    def hold(self, size_bytes: int) -> None:
        """Count taken bytes until they are sent."""
        if self.unsent is not None:
            self.taken_bytes += size_bytes
            self.unsent.taken(self, size_bytes)

    def let_go(self) -> None:
        """Count no taken bytes: all have been sent."""
        if self.taken_bytes and self.unsent is not None:
            size_bytes, self.taken_bytes = self.taken_bytes, 0
            self.unsent.taken(self, -size_bytes)

    def drop(self) -> None:
        """Count nothing any more, and drop the queue. Safe to call twice."""
        self.let_go()
        while self.queue:
            self.take()
        if self.unsent is not None:
            self.unsent.forget(self)
            self.unsent = None

    def end_for_room(self) -> None:
        """End the stream, since streams hold too many bytes for their clients."""
        is_sending = self.taken_bytes > 0
        self.is_ended_for_room = True
        self.drop()
        self.leave()
        if is_sending:
            self.cut()

    def leave(self) -> None:
        """End the stream at the next opportunity, whatever its queue holds."""
        self.leaving = True
        self.wake.set()
