"""Counts the due tasks for the pools that scale themselves: the supervisor reads the note, and opens no connection."""

import json
import time
from collections.abc import Callable, Mapping

from dtqs.config import PoolSection
from dtqs.store import Store

_MOST = 5000
"""A look reads at most this many rows, about 3 ms. A pool that needs more workers has enough reason with these."""


class DueTasks:
    """`note` writes one line for the supervisor."""

    def __init__(self, store: Store, pools: Mapping[str, PoolSection], note: Callable[[str], None]) -> None:
        self._store, self._note = store, note
        self._pools = [name for name, section in pools.items() if section.max]

    @property
    def is_wanted(self) -> bool:
        return bool(self._pools)

    def turn(self) -> bool:
        due = self._store.backlog.count_due(_MOST)
        self._note(json.dumps({"at": round(time.monotonic(), 1), "due": dict.fromkeys(self._pools, due)}))
        return False
