"""One stream as the hub sees it: its position in each task's log, its queue, and back-pressure.

The database is the buffer of a stream: a stream without room is marked as behind, and reads on when it has room.
"""

from collections import deque

from gevent.event import Event as Wake

from dtqs.api.stream.frames import StreamFrame

QUEUE_LIMIT = 256
QUEUE_BYTES = 8 << 20
"""Limits of unsent frames and their bytes. Above either, a stream gets nothing until half of its queue is sent."""


class Watcher:
    """One stream. `positions` maps each task without its final event to the last log id in the queue.

    `holder` names its API key or ticket.
    """

    def __init__(self, positions: dict[str, int], holder: str = "") -> None:
        self.positions, self.holder = positions, holder
        self.queue: deque[StreamFrame] = deque()
        self.queued_bytes = 0
        self.wake = Wake()
        self.behind: set[str] = set()
        """Tasks with news that the stream had no room for."""
        self.ended: set[str] = set()
        """Tasks that lack only their final event, and have no new log row that would announce it."""
        self.ready = self.leaving = False

    @property
    def has_room(self) -> bool:
        return self.ready and len(self.queue) < QUEUE_LIMIT and self.queued_bytes < QUEUE_BYTES

    @property
    def is_low(self) -> bool:
        """Half of the queue is sent. One read serves many tasks, so a stream does not read after each frame."""
        return self.has_room and len(self.queue) <= QUEUE_LIMIT // 2 and self.queued_bytes <= QUEUE_BYTES // 2

    def put(self, frame: StreamFrame) -> None:
        self.queue.append(frame)
        self.queued_bytes += len(frame.data)
        self.wake.set()

    def take(self) -> StreamFrame:
        """Remove and return the next frame. The stream sends it now."""
        frame = self.queue.popleft()
        self.queued_bytes -= len(frame.data)
        return frame

    def leave(self) -> None:
        """End the stream at the next opportunity, whatever its queue holds."""
        self.leaving = True
        self.wake.set()
