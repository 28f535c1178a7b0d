"""The places for streams of one process. If all are taken, the holder of most of them gives one to a holder of fewer.

A holder is an API key, also of a stream by ticket: a ticket names the key of its tasks. A stream that ends early
resumes where it was, so nothing is lost by it.
"""

from dtqs.api.stream.watcher import Watcher


class Places:
    """The streams of each holder, oldest first."""

    def __init__(self) -> None:
        self._held: dict[str, dict[Watcher, None]] = {}

    def take(self, watcher: Watcher) -> None:
        self._held.setdefault(watcher.holder, {})[watcher] = None

    def free(self, watcher: Watcher) -> None:
        """Give a place back. Safe to call twice."""
        held = self._held.get(watcher.holder)
        if held is not None:
            held.pop(watcher, None)
            if not held:
                del self._held[watcher.holder]

    def make_room(self, holder: str) -> bool:
        """End the newest stream of the holder of most places. Return False if `holder` would have as many."""
        most = max(self._held.values(), key=len, default={})
        if len(most) < len(self._held.get(holder, ())) + 2:
            return False
        newest = next(reversed(most))
        self.free(newest)
        newest.leave()
        return True
