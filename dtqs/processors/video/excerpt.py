"""Decide an excerpt of a video: its frames and their times, the begin of its audio, and the end of both; pure."""

import itertools
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from dtqs.errors import PermanentError
from dtqs.processors.video.command import TimeSpan
from dtqs.processors.video.timeline import TrackExtent
from dtqs.processors.video.verify import allowed_gap

_ROUNDING_SECONDS = 0.00001
_AT_ONCE_SECONDS = 0.02
"""A frame that comes this soon after the beginning may be the first one."""
_NEAR_SECONDS = 0.025
_LEAST_SOUND_SECONDS = 0.02
_OFF_GRID_SECONDS, _OFF_GRID_PART = 0.0012, 0.3
"""Matroska rounds times to milliseconds, and the begin of its clock too."""
_DEFAULT_FRAME_SECONDS = 1 / 25


@dataclass(frozen=True, slots=True)
class VideoTiming:
    """The frames of an excerpt. `from_seconds` is on the source's clock, all other times are on the excerpt's own.

    `rate` is a frame rate on whose grid all frames lie; None if there is no such rate. `is_known` is False if the
    source does not tell the times of its frames.
    """

    from_seconds: float
    begin_seconds: float
    last_seconds: float
    end_seconds: float
    longest_seconds: float
    rate: Fraction | None
    is_known: bool = True
    times: "array[float]" = field(default_factory=lambda: array("d"))
    """The begin of each frame."""

    @property
    def usual_seconds(self) -> float:
        return float(1 / self.rate) if self.rate else _DEFAULT_FRAME_SECONDS

    @property
    def is_held(self) -> bool:
        """Tell whether the last frame is shown for longer than an encoder would assume."""
        return self.is_known and self.end_seconds - self.last_seconds > self.usual_seconds + _AT_ONCE_SECONDS


@dataclass(frozen=True, slots=True)
class AudioTiming:
    """The audio of an excerpt, on the excerpt's clock."""

    begin_seconds: float
    end_seconds: float
    has_gaps: bool

    @property
    def is_late(self) -> bool:
        return self.begin_seconds > 0.001


@dataclass(frozen=True, slots=True)
class Excerpt:
    """An excerpt, and the contents of its tracks."""

    span: TimeSpan
    seconds: float
    first_seconds: float
    """The begin of the first track, on the source's clock."""
    video: VideoTiming | None
    audio: AudioTiming | None

    @property
    def is_known(self) -> bool:
        """Tell whether the source's packets tell the end of the excerpt."""
        return self.video is None or self.video.is_known


def choose_excerpt(
    name: str,
    wanted: tuple[float, float | None],
    picture: TrackExtent | None,
    sound: TrackExtent | None,
    rates: Sequence[Fraction] = (),
) -> Excerpt:
    """Decide an output's excerpt. Raises PermanentError if it is empty, or if the source is cut short within it."""
    start, end = wanted
    source_end = max(extent.end_seconds for extent in (picture, sound) if extent)
    if start >= source_end:
        raise PermanentError(f"output {name}: start_seconds is {start:g}, but the video ends at {source_end:.3f}")
    # Matroska's clock, for one, begins with the silence that AAC and Opus put before the audio,
    # 7 to 23 ms before the first frame
    begin = picture.begin_seconds if picture and start < picture.begin_seconds <= start + _NEAR_SECONDS else start
    stop = source_end if end is None else min(end + begin - start, source_end)
    start = begin
    for track, extent in (("video", picture), ("audio", sound)):
        if extent:
            _check_whole(name, track, extent, start, stop)
    audio = _audio_timing(sound, start, stop) if sound else None
    if audio is None and picture is None and sound is not None:
        raise PermanentError(
            f"output {name}: there is no audio from {start:g} to {stop:g} s: it begins at {sound.begin_seconds:.3f}"
        )
    video = _video_timing(name, picture, start, stop, rates) if picture else None
    first = min(extent.begin_seconds for extent, kept in ((picture, video), (sound, audio)) if extent and kept)
    # a video that goes on after the time of its last packet is read to its end
    length = stop - start if end is not None and stop < source_end else None
    return Excerpt(TimeSpan(start, length), stop - start, first, video, audio)


def frame_at(times: "array[float]", seconds: float) -> int:
    """Return the number of the frame that is shown then: the last one that begins before, or the first."""
    return max(0, bisect_right(times, seconds + _ROUNDING_SECONDS) - 1)


def _check_whole(name: str, track: str, extent: TrackExtent, start: float, stop: float) -> None:
    wanted = min(extent.end_seconds, stop)
    if wanted - max(start, extent.packets_end_seconds) > allowed_gap(wanted - start):
        raise PermanentError(
            f"output {name}: the source is cut short or broken: by its index its {track} ends at "
            f"{extent.end_seconds:.2f} s, but the data ends at {extent.packets_end_seconds:.2f} s"
        )


def _audio_timing(sound: TrackExtent, start: float, stop: float) -> AudioTiming | None:
    begin, end = max(start, sound.begin_seconds), min(stop, sound.end_seconds)
    return AudioTiming(begin - start, end - start, sound.has_gaps) if end - begin >= _LEAST_SOUND_SECONDS else None


def _video_timing(name: str, picture: TrackExtent, start: float, stop: float, rates: Sequence[Fraction]) -> VideoTiming:
    if picture.begin_seconds >= stop:
        raise PermanentError(
            f"output {name}: there is no frame before {stop:g} s: the video track begins at {picture.begin_seconds:.3f}"
        )
    # after the end of the video track its last frame stays for the rest
    end = (stop if start >= picture.end_seconds else min(stop, picture.end_seconds)) - start
    times = picture.times
    if not times:
        return VideoTiming(start, 0.0, end, end, 0.0, None, is_known=False)
    first = _first_frame(times, start)
    after_last = max(first + 1, bisect_left(times, stop - _ROUNDING_SECONDS))
    offsets = array("d", (time - start for time in times[first:after_last]))
    if offsets[0] <= _AT_ONCE_SECONDS:
        offsets[0] = 0.0
    longest = max((after - before for before, after in itertools.pairwise(offsets)), default=0.0)
    return VideoTiming(
        from_seconds=times[first],
        begin_seconds=offsets[0],
        last_seconds=offsets[-1],
        end_seconds=max(end, offsets[-1]),
        longest_seconds=max(longest, offsets[0], end - offsets[-1]),
        rate=next((rate for rate in rates if _is_on_grid(offsets, rate)), None),
        times=offsets,
    )


def _first_frame(times: "array[float]", start: float) -> int:
    """Return the number of the first frame: the one shown at the start, or the next if it follows at once."""
    shown = frame_at(times, start)
    if shown + 1 < len(times) and 0 < times[shown + 1] - start <= min(_AT_ONCE_SECONDS, start - times[shown]):
        return shown + 1
    return shown


def _is_on_grid(offsets: "array[float]", rate: Fraction) -> bool:
    """Tell whether each frame lies on a grid point of its own."""
    per_second, before = float(rate), -1
    slack = min(_OFF_GRID_SECONDS, _OFF_GRID_PART / per_second)
    for offset in offsets:
        point = round(offset * per_second)
        if point <= before or abs(point / per_second - offset) > slack:
            return False
        before = point
    return True
