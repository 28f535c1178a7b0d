"""How a process uses its pool of connections."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Open connections, callers that wait for one, and since the start all such waits and their seconds."""

    open: int
    waiting: int
    waits: int
    wait_seconds: float

    @classmethod
    def of(cls, found: Mapping[str, int]) -> "PoolUse":
        """Read the statistics of psycopg's pool."""
        return cls(
            found.get("pool_size", 0),
            found.get("requests_waiting", 0),
            found.get("requests_queued", 0),
            found.get("requests_wait_ms", 0) / 1000,
        )
