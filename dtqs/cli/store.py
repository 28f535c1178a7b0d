"""Open the store for the length of a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from dtqs.config import Config
from dtqs.store import Store
from dtqs.store.checkup import reach


@contextmanager
def opened_store(config: Config, name: str, connections: int = 1) -> Iterator[Store]:
    """Open a store. Raises StoreUnavailable at once where PostgreSQL cannot be reached."""
    reach(config.postgresql, name)
    store = Store(config.postgresql, config.lease, size=connections, name=name)
    store.start()
    try:
        yield store
    finally:
        store.stop()
