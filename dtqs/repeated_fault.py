"""The log lines of a loop whose turns fail again and again: a traceback once, then a line a minute."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_LINE_SECONDS, _TRACEBACK_SECONDS = 60.0, 3600.0
_MOST_KINDS = 100


@dataclass(slots=True)
class _Kind:
    """The failures with one text and one type of exception. `times`: since the last line."""

    traceback_at: float = float("-inf")
    line_at: float = float("-inf")
    times: int = 0


class RepeatedFaults:
    """The failures of one loop. A traceback at each turn would fill a disk within days."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._kinds: dict[tuple[str, type[BaseException]], _Kind] = {}

    def tell(self, text: str, error: BaseException, **fields: object) -> None:
        """Log a failure: with its traceback if this kind had none for an hour, or in one line if it had none lately."""
        if len(self._kinds) > _MOST_KINDS:
            self._kinds.clear()
        kind, now = self._kinds.setdefault((text, type(error)), _Kind()), self._clock()
        kind.times += 1
        if now - kind.traceback_at >= _TRACEBACK_SECONDS:
            kind.traceback_at = kind.line_at = now
            self._logger.error(text, exc_info=error, extra=fields)
            kind.times = 0
        elif now - kind.line_at >= _LINE_SECONDS:
            kind.line_at = now
            reason = f"{type(error).__name__}: {error}"
            self._logger.error(text, extra={**fields, "reason": reason, "times": kind.times})
            kind.times = 0
