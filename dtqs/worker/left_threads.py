"""Notes threads that attempts leave behind: they go on beside the next attempt, and nothing interrupts them."""

import logging
import threading
from weakref import WeakSet

logger = logging.getLogger(__name__)
_OWN = frozenset({"MainThread", "beat", "broker", "dtqs submits", "goodbye", "limits", "resolver", "smpp", "traces"})
"""The threads of DTQS itself, and of a client that a processor keeps."""
_OF_A_POOL = "dtqs: "
"""Begins the names of the threads of a pool of connections to PostgreSQL: the pool has the name of its process."""
_NAMED = 10


class LeftThreads:
    """The known threads of this process."""

    def __init__(self) -> None:
        self._known = WeakSet(threading.enumerate())
        self._count = len(self._known)

    def look(self, light: bool) -> None:
        """Log the threads that are new. After light tasks, look only if their number has changed: 0.2 µs a batch."""
        if light and threading.active_count() == self._count:
            return
        threads = threading.enumerate()
        new = [thread.name for thread in threads if thread not in self._known and not _is_own(thread.name)]
        self._known.update(threads)
        self._count = len(threads)
        if new:
            logger.warning("a task left threads behind", extra={"threads": new[:_NAMED], "count": len(new)})


def _is_own(name: str) -> bool:
    return name in _OWN or name.startswith(_OF_A_POOL)
