"""Turns of a rate limit. An attempt takes one turn of each of its limits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a limit that all workers share under `key`.

    The limit gives `per_second` turns a second, and after a pause up to `burst` at once.
    """

    key: str
    per_second: float
    burst: int = 1
