"""Frames for burned-in subtitles: more where a cue needs them, and none elsewhere."""

import tracemalloc
from array import array
from fractions import Fraction

import pytest

from dtqs.processors.video.burning import with_frames
from dtqs.processors.video.command import WHOLE
from dtqs.processors.video.excerpt import Excerpt, VideoTiming
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.vtt import Cue


def excerpt(*times: float, rate: Fraction | None = None, end: float = 10.0, seconds: float = 10.0) -> Excerpt:
    timing = VideoTiming(times[0], times[0], times[-1], end, 1.0, rate, times=array("d", times))
    return Excerpt(WHOLE, seconds, 0.0, timing, None)


def decided(given: Excerpt, begin: float, end: float, **fields: object) -> tuple[float | None, float]:
    """Return the rate of the output and the end of its video, for one cue."""
    wanted = VideoOutput.model_validate({"name": "a", "subtitles": {"track": 0}, **fields})
    spec, made = with_frames(wanted, given, [Cue(begin, end, "", "text")])
    assert made.video
    return spec.fps, made.video.end_seconds


@pytest.mark.parametrize(
    ("rate", "fps"),
    [
        (Fraction(1, 5), 10.0),
        (Fraction(1, 7), 10.0),
        (Fraction(3), 12.0),
        (Fraction(30000, 1001), 29.97),
        (Fraction(1000), 25.0),
        (None, 25.0),
    ],
)
def test_more_frames_lie_on_the_grid_of_the_others(rate: Fraction | None, fps: float) -> None:
    assert decided(excerpt(0, 5, 9.9, rate=rate), 6, 7) == (fps, 10.0)


@pytest.mark.parametrize(("distance", "fps"), [(0.02, 50.0), (0.001, 60.0)])
def test_frames_without_a_grid_get_a_rate_as_high_as_theirs(distance: float, fps: float) -> None:
    assert decided(excerpt(0, distance, 9.9), 6, 7) == (fps, 10.0)


def test_frames_are_added_only_near_a_cue() -> None:
    frames = excerpt(0, 0.1, 0.2, 5, 5.1, 5.2, end=5.3, seconds=5.3)
    assert decided(frames, 0, 0.2) == (None, 5.3)
    assert decided(frames, 5, 5.3) == (None, 5.3)
    assert decided(frames, 0.1, 0.3) == (25.0, 5.3)
    assert decided(frames, 4.9, 5.1) == (25.0, 5.3)
    assert decided(frames, 1, 2, subtitles={"track": 0, "mode": "carry", "language": "en"}) == (None, 5.3)


def test_frames_are_added_before_the_first_one_and_after_the_last() -> None:
    assert decided(excerpt(2, 2.1, end=2.2, seconds=2.2), 1, 1.5) == (25.0, 2.2)
    assert decided(excerpt(0, 0.1, end=0.2, seconds=6), 4, 5) == (25.0, 6)


def test_a_chosen_rate_stays_and_the_video_lasts_as_long_as_its_subtitles() -> None:
    frames = excerpt(0, 0.1, end=0.2, seconds=6)
    assert decided(frames, 4, 5, fps=2) == (2.0, 6)
    assert decided(frames, 0, 0.1, fps=2) == (2.0, 0.2)


def test_a_video_of_many_frames_needs_no_copy_of_their_times() -> None:
    frames = excerpt(*(number / 30 for number in range(50_000)), end=2000, seconds=2000)
    tracemalloc.start()
    try:
        assert decided(frames, 1, 2) == (None, 2000)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
