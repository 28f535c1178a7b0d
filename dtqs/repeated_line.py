"""Log lines about messages of others, who may send any number of them."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_LINE_SECONDS, _AT_ONCE = 60.0, 10
_MOST_KINDS = 100
_OTHERS = "\0"


@dataclass(slots=True)
class _Lines:
    """The lines about one thing. `room`: how many may follow now. `times`: events since the last line."""

    at: float
    room: float = _AT_ONCE
    times: int = 0


class RepeatedLines:
    """Ten lines of each kind at once, then one a minute with the number of events since the last line as `times`.

    Kinds beyond the first hundred share their lines, as a stranger may invent any number of kinds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._kinds: dict[str, _Lines] = {}

    def tell(self, level: int, text: str, kind: str = "", **fields: object) -> None:
        """Log an event, or only count it."""
        now = self._clock()
        known = self._known(kind, now)
        known.room = min(_AT_ONCE, known.room + (now - known.at) / _LINE_SECONDS)
        known.at, known.times = now, known.times + 1
        if known.room >= 1:
            times = {"times": known.times} if known.times > 1 else {}
            known.room, known.times = known.room - 1, 0
            self._logger.log(level, text, extra=fields | times)

    def _known(self, kind: str, now: float) -> _Lines:
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            self._kinds = {name: one for name, one in self._kinds.items() if now - one.at < _LINE_SECONDS}
            if len(self._kinds) >= _MOST_KINDS:
                kind = _OTHERS
        return self._kinds.setdefault(kind, _Lines(now))
