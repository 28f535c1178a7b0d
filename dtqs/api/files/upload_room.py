"""Bounds the bytes of the uploads that one process receives at the same time: until they are stored, they need disk.

A full disk refuses a write, but an emptyDir of Kubernetes that grows too large ends the whole pod. If room is short, an
upload that has become slow ends for another API key's: else one that sent much and then little kept out all others.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gevent.event import Event

from dtqs.api.http.body import CLIENT_SECONDS, SLOWEST_BYTES
from dtqs.errors import UploadsFull

_PATIENCE_SECONDS = 1800.0
"""An upload is slow if it needs longer, at its pace, to send as much again."""
_PIECE_BYTES = 1 << 20
"""An upload grows by this size at most. A part of a piece does not count before the piece is complete."""
_END_SECONDS = 5.0
"""How long another upload waits for the end of a slow one."""


class UploadRoom:
    """`most_bytes`: 0 for no limit. All callers are greenlets of one thread."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._taken_bytes = most_bytes, 0
        self._shares: dict[UploadShare, None] = {}

    @contextmanager
    def taken(
        self, announced_bytes: int | None, limit_bytes: int, key: str = "", cut: Callable[[], object] = lambda: None
    ) -> Iterator["UploadShare"]:
        """Hold room for an upload as it grows; it is refused if it is longer than its limit. Raises UploadsFull.

        An announced length holds nothing: two slow clients that announce much would keep out all others for hours. But
        an upload for which there is no room now need not begin. `cut` ends the upload for one of another API key.
        """
        share = UploadShare(self, limit_bytes, key, cut)
        try:
            self.require(min(announced_bytes or 0, limit_bytes), key)
            self._shares[share] = None
            yield share
        finally:
            self._shares.pop(share, None)
            self._taken_bytes -= share.held_bytes
            share.ended.set()

    def require(self, size: int, key: str) -> None:
        """End slow uploads of other keys if there is no room for some bytes. Raises UploadsFull."""
        if not self._lacks(size):
            return
        slow = self._slow(size, key)
        if self._lacks(size - sum(share.held_bytes for share in slow)):
            raise UploadsFull(self._most_bytes)
        for share in slow:
            share.cut()
            if not share.ended.wait(_END_SECONDS) or not self._lacks(size):
                break
        if self._lacks(size):
            raise UploadsFull(self._most_bytes)

    def take(self, size: int, key: str) -> None:
        """Take some bytes. Raises UploadsFull."""
        self.require(size, key)
        self._taken_bytes += size

    def _lacks(self, size: int) -> bool:
        return bool(self._most_bytes) and self._taken_bytes + size > self._most_bytes

    def _slow(self, size: int, key: str) -> list["UploadShare"]:
        """Return the slow uploads that may end for this key, those with most bytes first."""
        by_key: dict[str, int] = {}
        for share in self._shares:
            by_key[share.key] = by_key.get(share.key, 0) + share.held_bytes
        fewer, now = by_key.get(key, 0) + size, time.monotonic()
        others = [share for share in self._shares if share.key != key and share.held_bytes and not share.has_come]
        slow = [share for share in others if share.is_slow(now, has_most=by_key[share.key] > fewer)]
        return sorted(slow, key=lambda share: share.held_bytes, reverse=True)


class UploadShare:
    """The room of one upload."""

    def __init__(self, room: UploadRoom, limit_bytes: int, key: str, cut: Callable[[], object]) -> None:
        self._room, self._limit_bytes, self.key, self.cut = room, limit_bytes, key, cut
        self.held_bytes, self.ended = 0, Event()
        self.has_come = False
        """Set when its last byte has come. To store it may take minutes then, which is not the client's pace."""
        self._grown_at = time.monotonic()
        self._older = self._newer = (self._grown_at, 0)
        """Two times, with the bytes then. They are CLIENT_SECONDS apart or more, so a pause between is no slowness."""

    def cover(self, size_bytes: int) -> None:
        """Before an upload grows to this size, hold room for it. Raises UploadsFull."""
        wanted = min(size_bytes, self._limit_bytes)
        if wanted > self.held_bytes:
            self._note()
            self._room.take(wanted - self.held_bytes, self.key)
            self.held_bytes = wanted

    def is_slow(self, now: float, has_most: bool) -> bool:
        """Tell whether the upload comes slower than any may. One whose key `has_most` bytes must be faster."""
        least = max(SLOWEST_BYTES, self.held_bytes / _PATIENCE_SECONDS) if has_most else float(SLOWEST_BYTES)
        (since, before), quiet_seconds = self._older, now - self._grown_at
        if quiet_seconds >= CLIENT_SECONDS and least * quiet_seconds > _PIECE_BYTES:
            return True
        return now - since >= CLIENT_SECONDS and self.held_bytes - before < least * (now - since)

    def _note(self) -> None:
        now = self._grown_at = time.monotonic()
        if now - self._newer[0] >= CLIENT_SECONDS:
            self._older, self._newer = self._newer, (now, self.held_bytes)
