"""Requests that look up the same thing at the same time share one look.

When a remembered key expires, hundreds of its requests may run. Each of them took a connection to PostgreSQL.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from gevent.event import Event

from dtqs.errors import StoreUnavailable

T = TypeVar("T")


class _RunningLookup(Generic[T]):
    """A running look. It ends with what was found, with the loss of the store, or without either if it was killed."""

    def __init__(self) -> None:
        self.ended = Event()
        self.found: list[T] = []
        self.failure: str | None = None


class SharedLookups(Generic[T]):
    """All callers are greenlets of one process."""

    def __init__(self) -> None:
        self._running: dict[Hashable, _RunningLookup[T]] = {}

    def get(self, name: Hashable, look: Callable[[], T]) -> T:
        """Return what `look` finds, or what the running look of this name finds.

        `look` limits its own wait. Raises StoreUnavailable, and the errors of `look`.
        """
        while (running := self._running.get(name)) is not None:
            running.ended.wait()
            if running.failure is not None:
                raise StoreUnavailable(running.failure)
            if running.found:
                return running.found[0]
        return self._look(name, look)

    def _look(self, name: Hashable, look: Callable[[], T]) -> T:
        running = self._running[name] = _RunningLookup()
        try:
            found = look()
            running.found.append(found)
            return found
        except StoreUnavailable as error:
            running.failure = str(error)
            raise
        finally:
            del self._running[name]
            running.ended.set()
