"""Tasks whose hints the broker has confirmed, until their next publish is put off; pure.

They take little memory: 16 bytes for each task, and one publish time for all tasks of a commit.
"""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from dtqs.task import Due

_ID_BYTES = 16
_OVERHEAD_BYTES = 300
"""The objects around the ids of one group, roughly."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Tasks with one publish time. `publish_at` is the exact text of their backlog rows; `ids` has 16 bytes of each."""

    publish_at: str
    ids: bytes

    @property
    def count(self) -> int:
        return len(self.ids) // _ID_BYTES

    @property
    def size_bytes(self) -> int:
        return len(self.ids) + _OVERHEAD_BYTES

    @property
    def id_list(self) -> str:
        """The ids for an array literal. PostgreSQL reads a UUID without hyphens too."""
        return self.ids.hex(",", _ID_BYTES)

    def split(self, count: int) -> "tuple[Confirmed, Confirmed | None]":
        """Return the first tasks, and the rest if there is one."""
        if self.count <= count:
            return self, None
        at = count * _ID_BYTES
        return Confirmed(self.publish_at, self.ids[:at]), Confirmed(self.publish_at, self.ids[at:])


def task_ids(confirmed: Sequence[Confirmed]) -> set[str]:
    """Return the ids of all these tasks."""
    packed = [group.ids[at : at + _ID_BYTES] for group in confirmed for at in range(0, len(group.ids), _ID_BYTES)]
    return {str(uuid.UUID(bytes=one)) for one in packed}


class ConfirmedHints:
    """Collects confirmed tasks within a limit. Those beyond it are dropped: the relay publishes them again."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes, self._size_bytes = limit_bytes, 0
        self._ids: dict[str, bytearray] = {}

    def add(self, dues: Sequence[Due]) -> None:
        """Note the tasks of a hint."""
        if self._size_bytes >= self._limit_bytes:
            return
        for publish_at, group in itertools.groupby(dues, attrgetter("publish_at")):
            packed = bytes.fromhex("".join([due.task_id for due in group]).replace("-", ""))
            ids = self._ids.get(publish_at)
            if ids is None:
                ids = self._ids[publish_at] = bytearray()
                self._size_bytes += _OVERHEAD_BYTES
            ids += packed
            self._size_bytes += len(packed)

    def take(self) -> list[Confirmed]:
        """Return the tasks noted since the last call."""
        taken, self._ids, self._size_bytes = self._ids, {}, 0
        return [Confirmed(publish_at, bytes(ids)) for publish_at, ids in taken.items()]
