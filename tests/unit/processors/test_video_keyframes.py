"""The distance of key frames: by time, or by a count of frames with SVT-AV1."""

import itertools
from array import array
from collections.abc import Sequence

import pytest

from dtqs.processors.video.excerpt import VideoTiming
from dtqs.processors.video.keyframes import KeyFrames

EVEN = [number / 25 for number in range(250)]
PHONE = [number / 30 + (0.004 if number % 3 else 0.0) for number in range(300)]
PAUSED = [*(number / 25 for number in range(100)), *(20 + number / 25 for number in range(100))]


def timing(times: Sequence[float], *, is_known: bool = True) -> VideoTiming:
    longest = max(after - before for before, after in itertools.pairwise(times))
    return VideoTiming(0.0, 0.0, times[-1], times[-1] + 0.04, longest, None, is_known, array("d", times))


def key_frames(
    times: Sequence[float], seconds: float, encoder: str = "libsvtav1", fps: float | None = None
) -> KeyFrames:
    return KeyFrames(encoder, seconds, timing(times), fps, None)


@pytest.mark.parametrize(
    ("times", "fps", "seconds", "frames"),
    [(EVEN, None, 1, 25), (EVEN, None, 0.5, 12), (EVEN, 29.97, 2, 59), (EVEN, 10, 0.05, 1), (EVEN, None, 60, 250)],
)
def test_an_encoder_that_counts_gets_the_frames_of_that_time(
    times: Sequence[float], fps: float | None, seconds: float, frames: int
) -> None:
    keys = key_frames(times, seconds, fps=fps)
    assert (keys.options(), keys.is_kept) == ({"g:v": frames}, True)


def test_key_frames_of_a_slightly_uneven_video_are_never_further_apart() -> None:
    keys = key_frames(PHONE, 1)
    assert keys.is_kept
    number = int(keys.options()["g:v"])
    assert 29 <= number <= 30
    assert max(PHONE[at + number] - PHONE[at] for at in range(len(PHONE) - number)) <= 1.003


def test_a_count_of_frames_cannot_keep_the_distance_in_a_video_that_stands_still() -> None:
    keys = key_frames(PAUSED, 2)
    assert not keys.is_kept
    assert keys.options() == {"g:v": 16}, "a stream's segments have the wanted length on average"
    assert key_frames(PAUSED, 2, fps=25).is_kept
    assert key_frames(PAUSED, 2, "libx264").is_kept


def test_without_the_times_of_the_frames_the_stated_rate_counts() -> None:
    unknown = timing(EVEN, is_known=False)
    assert KeyFrames("libsvtav1", 2, unknown, None, 50.0).options() == {"g:v": 100}
    assert KeyFrames("libsvtav1", 2, unknown, None, None).options() == {"g:v": 50}


@pytest.mark.parametrize(
    ("encoder", "more"), [("libx264", {}), ("libx265", {"forced-idr:v": 1}), ("libaom-av1", {}), ("libvpx-vp9", {})]
)
def test_other_encoders_get_the_time(encoder: str, more: dict[str, int]) -> None:
    keys = key_frames(PAUSED, 2.5, encoder)
    assert keys.options() == {"force_key_frames": "expr:gte(t,n_forced*2.5)", **more}
    assert keys.split_seconds == 2.5


@pytest.mark.parametrize(("times", "fps"), [(EVEN, None), (EVEN, 29.97), (PHONE, None), (PAUSED, None)])
def test_each_key_frame_begins_a_segment(times: Sequence[float], fps: float | None) -> None:
    """Repeat the muxer's rule: it ends a segment at the first key frame after each multiple of the length."""
    keys = key_frames(times, 2, fps=fps)
    shown = [number / fps for number in range(400)] if fps else times
    begins = shown[:: int(keys.options()["g:v"])]
    assert all(begin >= number * keys.split_seconds for number, begin in enumerate(begins))
