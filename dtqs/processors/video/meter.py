"""Report a task's progress at most once a second, from each output's share of the work and ffmpeg's own progress."""

import time
from collections.abc import Callable, Sequence

from dtqs.amounts import span
from dtqs.processors.video.ffmpeg_output import EncodeProgress, Watch

_EVERY_SECONDS = 1.0
Report = Callable[[float, str], object]


class Meter:
    """Call `begin` for each output, and `watch` for each run of ffmpeg."""

    def __init__(self, report: Report, shares: Sequence[float], clock: Callable[[], float] = time.monotonic) -> None:
        self._report, self._clock, self._total = report, clock, sum(shares) or 1.0
        self._shares = list(shares)
        self._before, self._share, self._label = 0.0, 0.0, ""
        self._begun_at = self._reported_at = clock()
        self._fraction = 0.0

    def begin(self, label: str) -> None:
        """Begin the next output; the one before is done."""
        self._before += self._share
        self._share = self._shares.pop(0) / self._total
        self._label = label

    def watch(self, seconds: float | None, number: int = 1, of: int = 1) -> Watch:
        """Return a callback for ffmpeg's progress in run `number` of `of` runs.

        `seconds`: the length of the run's output; None if it is unknown.
        """

        def take(progress: EncodeProgress) -> None:
            part = min(1.0, progress.seconds / seconds) if seconds else 0.0
            self._advance(self._before + self._share * (min(number, of) - 1 + part) / of, progress)

        return take

    def _advance(self, fraction: float, progress: EncodeProgress) -> None:
        # a repeated run would otherwise move the progress back
        self._fraction = max(self._fraction, fraction)
        now = self._clock()
        if now - self._reported_at < _EVERY_SECONDS:
            return
        self._reported_at = now
        self._report(self._fraction, f"{self._label}: {_describe(progress, self._remaining_seconds(now))}")

    def _remaining_seconds(self, now: float) -> float | None:
        return (now - self._begun_at) * (1 - self._fraction) / self._fraction if self._fraction > 0.01 else None


def _describe(progress: EncodeProgress, remaining_seconds: float | None) -> str:
    parts = [f"{progress.seconds:.1f} s done"]
    if progress.speed:
        parts.append(f"{progress.speed:.3g}× speed")
    if remaining_seconds is not None:
        parts.append(f"about {span(remaining_seconds)} left")
    return ", ".join(parts)
