"""Since when some child of this node has reached PostgreSQL without a long pause; pure.

A worker that has reached it never since then is cut off by a fault of its own, such as files that a task left open.
"""

from collections.abc import Iterable

_NEVER = float("inf")


class Reach:
    """Times are monotonic. A pause of `pause_seconds` begins it anew: after an outage each child gets its time."""

    def __init__(self, pause_seconds: float) -> None:
        self._pause_seconds = pause_seconds
        self.since = _NEVER

    def note(self, heartbeats: Iterable[float], now: float) -> None:
        """Note the last confirmed heartbeats of all children. A task may have damaged some."""
        newest = max((at for at in heartbeats if at <= now), default=0.0)
        if now - newest > self._pause_seconds:
            self.since = _NEVER
        elif self.since == _NEVER:
            self.since = now
