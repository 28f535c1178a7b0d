"""Detect steps of the database's clock, by comparison with the monotonic clock. Pure."""

from dataclasses import dataclass

_BACK_SECONDS = 1.0
"""After a smaller step back, claims still take the tasks that were due before, and the relay's mark lies further back.
So it is not worth a pass over the whole backlog.
"""
_AHEAD_SECONDS = 1.0
"""A smaller step ahead looks like a slow reply. Steps ahead do no harm."""


@dataclass(frozen=True, slots=True)
class Step:
    """The length of a step (negative: back), and the database's time now without it, in its own seconds."""

    seconds: float
    until: float


class DatabaseClock:
    """The last reading of the database's clock, and the two monotonic times between which it was read."""

    def __init__(self) -> None:
        self._last: tuple[float, float, float] | None = None

    def note(self, shown: float, began: float, ended: float) -> Step | None:
        """Note a reading and return the step since the one before, or None."""
        last, self._last = self._last, (shown, began, ended)
        if last is None:
            return None
        before, before_began, before_ended = last
        least, most = before + (began - before_ended), before + (ended - before_began)
        if shown < least - _BACK_SECONDS:
            return Step(shown - least, most)
        if shown > most + _AHEAD_SECONDS:
            return Step(shown - most, shown)
        return None
