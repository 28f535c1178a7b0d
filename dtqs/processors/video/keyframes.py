"""Key frames at the requested distance: by their time, or by a count of frames where an encoder only counts; pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dtqs.processors.video.codecs import Options
from dtqs.processors.video.excerpt import VideoTiming

_COUNTING = "libsvtav1"
"""Only newer versions of ffmpeg place its key frames by time, so it counts with all versions."""
_UNEVEN = 2.0
_DEFAULT_FPS = 25.0
_ROUNDING_SECONDS, _ROUNDING_FRAMES = 0.002, 0.001
_SPLIT_SECONDS, _LEAST_SECONDS = 0.0001, 0.5


@dataclass(frozen=True)
class KeyFrames:
    """The key frames of one output, at most `seconds` apart.

    `fps` is the output's fixed rate. Without one, `frames` has the time of each frame, or the source's `stated_fps`
    counts.
    """

    encoder: str
    seconds: float
    frames: VideoTiming | None
    fps: float | None
    stated_fps: float | None

    def options(self) -> Options:
        """Return the encoder's options."""
        if self.encoder == _COUNTING:
            return {"g:v": self._count}
        forced: Options = {"force_key_frames": f"expr:gte(t,n_forced*{self.seconds:g})"}
        # without it x265 makes no key frame soon after another one
        return forced | {"forced-idr:v": 1} if self.encoder == "libx265" else forced

    @property
    def is_kept(self) -> bool:
        """Tell whether the distance holds: a count of frames lasts longer wherever a video of uneven rate is slow."""
        return self.encoder != _COUNTING or not self._times or self._is_even

    @property
    def split_seconds(self) -> float:
        """Return the least length of a segment. The muxer ends one at the first key frame after a multiple of it."""
        if self.encoder != _COUNTING:
            return self.seconds
        number = self._count
        means = [time / keys for keys, time in enumerate(self._times[number::number], 1)]
        mean = min(means, default=self.seconds) if self._times else number / self._rate
        return max(_LEAST_SECONDS, mean - _SPLIT_SECONDS)

    @property
    def _times(self) -> Sequence[float]:
        """The begin of each frame; empty if the frames have a fixed rate."""
        return () if self.fps or self.frames is None or not self.frames.is_known else self.frames.times

    @property
    def _rate(self) -> float:
        return self.fps or self.stated_fps or _DEFAULT_FPS

    @cached_property
    def _count(self) -> int:
        """The number of frames between two key frames."""
        if not self._times:
            return max(1, math.floor(self._rate * self.seconds + _ROUNDING_FRAMES))
        return max(1, self._fewest if self._is_even else math.floor(self._mean))

    @property
    def _is_even(self) -> bool:
        return max(1, self._fewest) * _UNEVEN >= self._mean

    @property
    def _mean(self) -> float:
        assert self.frames
        return len(self._times) * self.seconds / max(self.frames.end_seconds, self.seconds)

    @cached_property
    def _fewest(self) -> int:
        """The number of frames in the emptiest stretch of this length."""
        times, last, fewest = self._times, 0, len(self._times)
        for first, time in enumerate(times):
            while last + 1 < len(times) and times[last + 1] <= time + self.seconds + _ROUNDING_SECONDS:
                last += 1
            if last + 1 == len(times):
                break
            fewest = min(fewest, last - first)
        return fewest
