"""How far a task is, told at most once a second: the outputs' shares of the work, and within one what ffmpeg says."""

import time
from collections.abc import Callable, Sequence

from dtqs.amounts import span
from dtqs.processors.video.ffmpeg import EncodeProgress, Watch

_EVERY_SECONDS = 1.0
Report = Callable[[float, str], object]


class Meter:
    """Made at the start of the work; `begin` for each output, `watch` for each run of ffmpeg."""

    def __init__(self, report: Report, shares: Sequence[float], clock: Callable[[], float] = time.monotonic) -> None:
        self._report, self._clock, self._total = report, clock, sum(shares) or 1.0
        self._shares = list(shares)
        self._before, self._share, self._label = 0.0, 0.0, ""
        self._begun_at = self._told_at = clock()
        self._fraction = 0.0

    def begin(self, label: str) -> None:
        """The next output begins, and the one before is done."""
        self._before += self._share
        self._share = self._shares.pop(0) / self._total
        self._label = label

    def watch(self, seconds: float | None, number: int = 1, of: int = 1) -> Watch:
        """Return what takes ffmpeg's progress in run `number` of so many, which makes so many seconds of film (None: nobody knows)."""

        def take(progress: EncodeProgress) -> None:
            part = min(1.0, progress.seconds / seconds) if seconds else 0.0
            self._tell(self._before + self._share * (min(number, of) - 1 + part) / of, progress)

        return take

    def _tell(self, fraction: float, progress: EncodeProgress) -> None:
        # a run that must be repeated would go back
        self._fraction = max(self._fraction, fraction)
        now = self._clock()
        if now - self._told_at < _EVERY_SECONDS:
            return
        self._told_at = now
        self._report(self._fraction, f"{self._label}: {_words(progress, self._left(now))}")

    def _left(self, now: float) -> float | None:
        return (now - self._begun_at) * (1 - self._fraction) / self._fraction if self._fraction > 0.01 else None


def _words(progress: EncodeProgress, left_seconds: float | None) -> str:
    words = [f"{progress.seconds:.1f} s done"]
    if progress.speed:
        words.append(f"{progress.speed:.3g}× speed")
    if left_seconds is not None:
        words.append(f"about {span(left_seconds)} left")
    return ", ".join(words)
