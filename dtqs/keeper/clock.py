"""Whether the database's clock was stepped: pure. It is compared with the monotonic clock, which nobody steps."""

from dataclasses import dataclass

_BACK_SECONDS = 1.0
"""Less is not worth a pass over the whole backlog: tasks are late by that much at most, and the relay's mark trails by more."""
_AHEAD_SECONDS = 1.0
"""Less is not told from a reply that took its time; ahead is harmless."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far it was stepped (negative: back), and what it would show now without that, in its own seconds."""

    seconds: float
    until: float


class DatabaseClock:
    """The last look: the database's clock, and between which two monotonic moments it was read."""

    def __init__(self) -> None:
        self._last: tuple[float, float, float] | None = None

    def looked(self, shown: float, began: float, ended: float) -> Step | None:
        """Note a look; return the step that lies between it and the one before."""
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
