"""Decide where burned-in subtitles need more frames than the video has; pure.

Subtitles are drawn into frames. A cue that begins and ends between two frames would never be seen.
"""

import itertools
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dtqs.processors.video.excerpt import Excerpt, VideoTiming
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.vtt import Cue

_MOST_GAP_SECONDS = 0.15
"""Cues appear and disappear at most this late."""
_LEAST_FPS = 10
_UNEVEN_FPS = 25.0, 60.0
"""The lowest and the highest rate for frames that lie on no grid."""
_MOST_GRID_FPS = 120


def with_frames(spec: VideoOutput, excerpt: Excerpt, cues: Sequence[Cue]) -> tuple[VideoOutput, Excerpt]:
    """Return the output with a frame rate, and the excerpt with a longer video, if its burned-in cues need them.

    The times of the cues are on the excerpt's clock.
    """
    timing = excerpt.video
    if not cues or timing is None or not timing.is_known or spec.subtitles is None or spec.subtitles.mode != "burn":
        return spec, excerpt
    shown = _Shown(cues)
    if not spec.fps and any(shown.overlaps(begin, end) for begin, end in _gaps(timing, excerpt.seconds)):
        spec = spec.model_copy(update={"fps": _rate(timing)})
    if excerpt.seconds - timing.end_seconds > _MOST_GAP_SECONDS and shown.overlaps(timing.end_seconds, excerpt.seconds):
        excerpt = replace(excerpt, video=replace(timing, end_seconds=excerpt.seconds))
    return spec, excerpt


class _Shown:
    """The times at which any cue is shown."""

    def __init__(self, cues: Sequence[Cue]) -> None:
        ordered = sorted((cue.begin_seconds, cue.end_seconds) for cue in cues)
        self._begins = array("d", (begin for begin, _ in ordered))
        self._latest_ends = array("d", itertools.accumulate((end for _, end in ordered), max))

    def overlaps(self, begin: float, end: float) -> bool:
        before = bisect_left(self._begins, end)
        return before > 0 and self._latest_ends[before - 1] > begin


def _gaps(timing: VideoTiming, seconds: float) -> Iterator[tuple[float, float]]:
    """Return the times between two frames that are too far apart for subtitles."""
    for begin, end in itertools.pairwise(itertools.chain([0.0], timing.times, [seconds])):
        if end - begin > _MOST_GAP_SECONDS:
            yield begin, end


def _rate(timing: VideoTiming) -> float:
    """Return a rate on whose grid the video's own frames keep their times, or are moved by less than 1/50 s."""
    if timing.rate and timing.rate <= _MOST_GRID_FPS:
        wanted = float(timing.rate * math.ceil(_LEAST_FPS / timing.rate))
    else:
        distances = (after - before for before, after in itertools.pairwise(timing.times) if after > before)
        least, most = _UNEVEN_FPS
        wanted = min(most, max(least, 1 / min(distances, default=math.inf)))
    return float(f"{wanted:g}")
