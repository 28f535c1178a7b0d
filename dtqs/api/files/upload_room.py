"""Bounds the bytes of the uploads that one process receives at the same time: until they are stored, they need disk.

A full disk refuses a write, but an emptyDir of Kubernetes that grows too large ends the whole pod.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from dtqs.errors import UploadsFull


class UploadRoom:
    """`most_bytes`: 0 for no limit. All callers are greenlets of one thread."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._taken_bytes = most_bytes, 0

    @contextmanager
    def taken(self, announced_bytes: int | None, limit_bytes: int) -> Iterator["UploadShare"]:
        """Hold room for an upload as it grows; it is refused if it is longer than its limit. Raises UploadsFull.

        An announced length holds nothing: two slow clients that announce much would keep out all others for hours. But
        an upload for which there is no room now need not begin.
        """
        share = UploadShare(self, limit_bytes)
        try:
            self.require(min(announced_bytes or 0, limit_bytes))
            yield share
        finally:
            self._taken_bytes -= share.held_bytes

    def require(self, size: int) -> None:
        """Raise UploadsFull if there is no room for some bytes."""
        if self._most_bytes and self._taken_bytes + size > self._most_bytes:
            raise UploadsFull(self._most_bytes)

    def take(self, size: int) -> None:
        """Take some bytes. Raises UploadsFull."""
        self.require(size)
        self._taken_bytes += size


class UploadShare:
    """The room of one upload."""

    def __init__(self, room: UploadRoom, limit_bytes: int) -> None:
        self._room, self._limit_bytes, self.held_bytes = room, limit_bytes, 0

    def cover(self, size_bytes: int) -> None:
        """Before an upload grows to this size, hold room for it. Raises UploadsFull."""
        wanted = min(size_bytes, self._limit_bytes)
        if wanted > self.held_bytes:
            self._room.take(wanted - self.held_bytes)
            self.held_bytes = wanted
