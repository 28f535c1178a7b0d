"""Chooses the waiting requests that give room to one of another API key: fair between keys, and pure.

A key gives room until it would have less than the other one. The key with the most bytes is the next to give.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """A waiting request."""

    @property
    def size_bytes(self) -> int: ...


T = TypeVar("T", bound=Sized)


class Share(Generic[T]):
    """The waiting requests of one key, oldest first."""

    __slots__ = ("members", "size_bytes")

    def __init__(self) -> None:
        self.members: OrderedDict[T, None] = OrderedDict()
        self.size_bytes = 0

    def add(self, member: T) -> None:
        self.members[member] = None
        self.size_bytes += member.size_bytes

    def remove(self, member: T) -> None:
        del self.members[member]
        self.size_bytes -= member.size_bytes

    def largest_first(self) -> Iterator[T]:
        """Yield the requests by size, the newest of equal ones first."""
        newest_first = reversed(self.members)
        yield from sorted(newest_first, key=lambda member: member.size_bytes, reverse=True)


def victims(shares: Iterable[Share[T]], wanted_bytes: int, missing_bytes: int) -> list[T] | None:
    """Choose requests that hold the missing bytes together, for a key that would then have the wanted bytes.

    Return None if the others may not give as much: then nobody loses its place.
    """
    givers = [share for share in shares if share.size_bytes > wanted_bytes]
    if sum(share.size_bytes - wanted_bytes for share in givers) < missing_bytes:
        return None
    most = [(-share.size_bytes, number, share.largest_first()) for number, share in enumerate(givers)]
    heapq.heapify(most)
    chosen: list[T] = []
    while most and missing_bytes > 0:
        held, number, members = most[0]
        given = next((member for member in members if -held - member.size_bytes >= wanted_bytes), None)
        if given is None:
            heapq.heappop(most)
            continue
        chosen.append(given)
        missing_bytes -= given.size_bytes
        heapq.heapreplace(most, (held + given.size_bytes, number, members))
    return chosen if missing_bytes <= 0 else None
