"""What a rate limit gives: turns, of which an attempt needs one of each of its limits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the limit that all workers share under `key`: so many a second, after a pause up to `burst` at once."""

    key: str
    per_second: float
    burst: int = 1
