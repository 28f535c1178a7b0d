"""Bounds the bytes that one process holds for its clients: JSON bodies until their tasks are stored, and answers until
they are sent.

An API key gets half of a room at most, so it cannot shut out another one.
"""

from collections import Counter
from collections.abc import Callable

from dtqs.errors import TransientError

SMALL_BYTES = 16 << 10
"""Smaller bodies and answers do not count: all connections together hold less than the room."""
MOST_BYTES, MOST_BODIES = 128 << 20, 8
"""The size of a room, and the number of the longest allowed bodies for which there is room in any case."""


def room_bytes(max_body_bytes: int) -> int:
    """Return the size of a room."""
    return max(MOST_BYTES, MOST_BODIES * max_body_bytes)


class ByteRoom:
    """`full` makes the error of a refusal from the size of the room. All callers are greenlets of one thread."""

    def __init__(self, max_body_bytes: int, full: Callable[[int], TransientError]) -> None:
        self.most_bytes, self._full = room_bytes(max_body_bytes), full
        self._taken_bytes = 0
        self._by_key: Counter[str] = Counter()

    def share(self, key: str) -> "ByteShare":
        """Return the room of one body or answer of this API key. Its owner frees it."""
        return ByteShare(self, key)

    def has_room(self, key: str, size_bytes: int) -> bool:
        """Tell whether this key may take some bytes more. In an empty room it may take any number."""
        taken, own = self._taken_bytes + size_bytes, self._by_key[key] + size_bytes
        return not self._taken_bytes or (taken <= self.most_bytes and own <= self.most_bytes // 2)

    def require(self, key: str) -> None:
        """Raise the error of a refusal if this key holds more than its half: `grow` may exceed it."""
        if self._by_key[key] > self.most_bytes // 2:
            raise self._full(self.most_bytes)

    def take(self, key: str, size_bytes: int) -> None:
        """Take some bytes. Raises the error of a refusal."""
        if not self.has_room(key, size_bytes):
            raise self._full(self.most_bytes)
        self.grow(key, size_bytes)

    def grow(self, key: str, size_bytes: int) -> None:
        """Take some bytes in any case, or give back a negative number."""
        self._taken_bytes += size_bytes
        self._by_key[key] += size_bytes
        if not self._by_key[key]:
            del self._by_key[key]


class ByteShare:
    """The room of one body or answer."""

    __slots__ = ("_key", "_room", "held_bytes")

    def __init__(self, room: ByteRoom, key: str) -> None:
        self._room, self._key, self.held_bytes = room, key, 0

    def cover(self, size_bytes: int) -> None:
        """Before a body grows to this size, hold room for it. Raises the error of a refusal."""
        if size_bytes > max(SMALL_BYTES, self.held_bytes):
            self._room.take(self._key, size_bytes - self.held_bytes)
            self.held_bytes = size_bytes

    def piece(self, size_bytes: int) -> int:
        """Hold room for a piece of a long body or answer, and return its size. Without room the piece is small."""
        if size_bytes > self.held_bytes and not self._room.has_room(self._key, size_bytes - self.held_bytes):
            return min(size_bytes, max(SMALL_BYTES, self.held_bytes))
        self.cover(size_bytes)
        return size_bytes

    def cover_anyway(self, size_bytes: int) -> None:
        """Hold room also beyond the bounds."""
        self._room.grow(self._key, size_bytes - self.held_bytes)
        self.held_bytes = size_bytes

    def free(self) -> None:
        """Give the room back. Safe to call twice."""
        if self.held_bytes:
            self._room.grow(self._key, -self.held_bytes)
            self.held_bytes = 0
