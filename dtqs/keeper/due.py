"""Counts the due tasks for the pools that scale themselves: the supervisor reads the note, and opens no connection."""

import time
from collections.abc import Callable, Collection, Mapping

from dtqs.config import PoolSection, types_of
from dtqs.due_note import DueNote
from dtqs.routes import Routes
from dtqs.store import Store

_MOST = 5000
"""A look reads at most this many rows, about 3 ms. A pool that needs more workers has enough reason with these."""
_MOST_OF_SOME = 50_000
"""The rows of a look for some types, about 30 ms: tasks of other types may be in front of them."""


class DueTasks:
    """`note` writes one line for the supervisor."""

    def __init__(
        self,
        store: Store,
        pools: Mapping[str, PoolSection],
        routes: Routes,
        installed: Collection[str],
        note: Callable[[str], None],
    ) -> None:
        """`installed`: the types that a worker of this node can run at all. A removed one may have due tasks."""
        self._store, self._note, self._installed = store, note, frozenset(installed)
        self._pools = {name: types_of(section, routes) for name, section in pools.items() if section.max}

    @property
    def is_wanted(self) -> bool:
        return bool(self._pools)

    def turn(self) -> bool:
        counts = {part: self._count(*part) for part in set(self._pools.values())}
        due = {pool: counts[part] for pool, part in self._pools.items()}
        self._note(DueNote(time.monotonic(), due).line())
        return False

    def _count(self, types: tuple[str, ...], chosen: bool) -> int:
        wanted = types if chosen else sorted(self._installed.difference(types))
        return self._store.backlog.count_due(_MOST_OF_SOME if types else _MOST, wanted, True)
