"""Room for a key's tasks under its `max_pending`. Keys without that ceiling never come here.

PostgreSQL counts. After a count, this process may fill a sixteenth of the free room within a second without another.
So the ceiling is exact within a process; several processes exceed it at most by what they accept at the same moment.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dtqs.errors import TooManyRequests

_SHARE = 16
_FRESH_SECONDS = 1.0
_RETRY_AFTER_SECONDS = 5
_REMEMBERED_LIMIT = 4096


@dataclass(slots=True)
class _Key:
    """The state of one key in this process.

    `accepted` only grows, so a count can tell how many tasks came while it ran.
    """

    in_flight: int = 0
    accepted: int = 0
    allowance: int = 0
    fresh_until: float = 0.0


class Room:
    """`count` is the store's: it counts the pending tasks of a key, up to a limit."""

    def __init__(self, count: Callable[[str, int], int]) -> None:
        self._count = count
        self._keys: dict[str, _Key] = {}

    @contextmanager
    def taken(self, key_id: str, most: int, tasks: int) -> Iterator[None]:
        """Hold room for `tasks` tasks while they are stored. Raises TooManyRequests, StoreUnavailable."""
        known = self._known(key_id)
        self._take(known, key_id, most, tasks)
        known.in_flight += tasks
        known.accepted += tasks
        try:
            yield
        finally:
            known.in_flight -= tasks

    def _take(self, known: _Key, key_id: str, most: int, tasks: int) -> None:
        if time.monotonic() < known.fresh_until and tasks <= known.allowance:
            known.allowance -= tasks
            return
        # a commit in flight may land before or after the count, so it is counted here in any case
        before, accepted = known.in_flight, known.accepted
        pending = self._count(key_id, most + 1)
        free = most - pending - before - (known.accepted - accepted) - tasks
        if free < 0:
            known.allowance = 0
            message = f"this API key has {min(pending, most)} pending tasks; at most {most} are allowed (max_pending)"
            raise TooManyRequests(f"{message}: wait until workers have taken some", _RETRY_AFTER_SECONDS)
        known.allowance, known.fresh_until = free // _SHARE, time.monotonic() + _FRESH_SECONDS

    def _known(self, key_id: str) -> _Key:
        if len(self._keys) >= _REMEMBERED_LIMIT and key_id not in self._keys:
            self._keys = {each: known for each, known in self._keys.items() if known.in_flight}
        return self._keys.setdefault(key_id, _Key())
