"""Bounds the JSON bodies that one process holds at the same time, from their arrival until their tasks are stored.

An API key gets half of the room at most, so it cannot shut out another one.
"""

from collections import Counter

from dtqs.errors import BodiesFull

SMALL_BYTES = 16 << 10
"""Smaller bodies do not count: all connections together hold less than the room."""
MOST_BYTES, MOST_BODIES = 128 << 20, 8
"""The room, and the number of the longest allowed bodies for which there is room in any case."""


class BodyRoom:
    """All callers are greenlets of one thread."""

    def __init__(self, max_body_bytes: int) -> None:
        self.most_bytes = max(MOST_BYTES, MOST_BODIES * max_body_bytes)
        self._taken_bytes = 0
        self._by_key: Counter[str] = Counter()

    def share(self, key: str) -> "BodyShare":
        """Return the room of one body of this API key. Its owner frees it."""
        return BodyShare(self, key)

    def take(self, key: str, size_bytes: int) -> None:
        """Take some bytes, or give back a negative number. Raises BodiesFull."""
        if size_bytes > 0 and (
            self._taken_bytes + size_bytes > self.most_bytes or self._by_key[key] + size_bytes > self.most_bytes // 2
        ):
            raise BodiesFull(self.most_bytes)
        self._taken_bytes += size_bytes
        self._by_key[key] += size_bytes
        if not self._by_key[key]:
            del self._by_key[key]


class BodyShare:
    """The room of one body."""

    __slots__ = ("_held_bytes", "_key", "_room")

    def __init__(self, room: BodyRoom, key: str) -> None:
        self._room, self._key, self._held_bytes = room, key, 0

    def cover(self, size_bytes: int) -> None:
        """Before a body grows to this size, hold room for it. Raises BodiesFull."""
        if size_bytes > SMALL_BYTES:
            self._room.take(self._key, size_bytes - self._held_bytes)
            self._held_bytes = size_bytes

    def free(self) -> None:
        """Give the room back. Safe to call twice."""
        if self._held_bytes:
            self._room.take(self._key, -self._held_bytes)
            self._held_bytes = 0
