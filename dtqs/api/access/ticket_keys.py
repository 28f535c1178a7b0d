"""The keys of tickets: a ticket ends with its key, however long its signature is valid."""

import time
from collections.abc import Callable

from dtqs.api.access.shared_lookups import SharedLookups
from dtqs.store.api_keys import REMEMBERED_SECONDS, ApiKey

_REMEMBERED_LIMIT = 4096


class TicketKeys:
    """`find` is the store's look-up of a key by its id. All callers are greenlets of one process."""

    def __init__(self, find: Callable[[str], ApiKey | None]) -> None:
        self._find = find
        self._remembered: dict[str, tuple[float, bool]] = {}
        self._looks = SharedLookups[bool]()

    def is_revoked(self, key_id: str) -> bool:
        """Tell whether a key was revoked. The answer is remembered for some seconds. Raises StoreUnavailable."""
        until, is_revoked = self._remembered.get(key_id, (0.0, False))
        if time.monotonic() < until:
            return is_revoked
        return self._looks.get(key_id, lambda: self._looked_up(key_id))

    def _looked_up(self, key_id: str) -> bool:
        now = time.monotonic()
        is_revoked = self._find(key_id) is None
        if len(self._remembered) >= _REMEMBERED_LIMIT:
            self._remembered.clear()
        self._remembered[key_id] = (now + REMEMBERED_SECONDS, is_revoked)
        return is_revoked
