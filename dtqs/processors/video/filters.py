"""Filters for times, subtitles and audio. `paint` has those for the look of the frames."""

import math
from typing import Any

from dtqs.processors.video.command import Stream
from dtqs.processors.video.excerpt import AudioTiming, VideoTiming

_ROUNDING_SECONDS = 0.00001
_GAP_SECONDS, _NEVER_SECONDS = 0.03, 1e6
_LEAST_FRAME_SECONDS = 0.04
"""A last frame that would be shown for less, or for less than half of its time, is left out."""
_MEASURABLE = {"I": (-99.0, 0.0), "TP": (-99.0, 99.0), "LRA": (0.0, 99.0), "thresh": (-99.0, 0.0)}
"""The figures that loudnorm accepts. It measures higher ones in a clipped source, and then refuses them."""


def constant_rate(stream: Stream, fps: float | None) -> Stream:
    """Convert to this frame rate; None keeps the frames as they are."""
    if not fps:
        return stream
    # the last frame may be the only one, and the filter drops one that lasts less than half an interval
    return repeat_last(stream).filter("fps", fps=f"{fps:g}", start_time=0, eof_action="pass")


def trim_video(stream: Stream, seconds: float) -> Stream:
    """Drop the frames before this time, and start the clock there."""
    if not seconds:
        return stream
    return stream.filter("trim", start=_exact(seconds)).filter("setpts", f"PTS-{_exact(seconds)}/TB")


def end_video(stream: Stream, seconds: float | None) -> Stream:
    """Drop the frames from this time on. ffmpeg's own limit counts from the first frame, which may come late."""
    return stream if seconds is None else stream.filter("trim", end=_exact(seconds - _ROUNDING_SECONDS))


def end_audio(stream: Stream, seconds: float | None) -> Stream:
    return stream if seconds is None else stream.filter("atrim", end=_exact(seconds))


def repeat_last(stream: Stream) -> Stream:
    """Show the last frame twice."""
    return stream.filter("tpad", stop=1, stop_mode="clone")


def retime(
    stream: Stream,
    lead_seconds: float,
    before_seconds: float,
    timing: VideoTiming,
    *,
    repeats_last: bool,
    from_start: bool,
) -> Stream:
    """Set each frame to its time in the excerpt.

    The input begins `lead_seconds` before the excerpt, and the first frame `before_seconds` before it.
    """
    if lead_seconds - before_seconds > 2 * _ROUNDING_SECONDS:
        stream = stream.filter("trim", start=_exact(lead_seconds - before_seconds - _ROUNDING_SECONDS))
    if lead_seconds:
        stream = stream.filter("settb", "AVTB")
    time = shifted = f"round(PTS-{_exact(lead_seconds)}/TB)" if lead_seconds else "PTS"
    if repeats_last and timing.is_held:
        last = _exact(timing.last_seconds + lead_seconds + _ROUNDING_SECONDS / 2)
        time = f"if(gt(T,{last}),{_exact(timing.end_seconds - timing.usual_seconds)}/TB,{time})"
    if before_seconds and (from_start or not timing.begin_seconds):
        time = f"if(eq(N,0),0,{time})"
    return stream if time == shifted == "PTS" else stream.filter("setpts", time)


def hold_last(stream: Stream, fps: float | None, timing: VideoTiming | None) -> Stream:
    """Repeat the last frame up to the end of the excerpt, if a frame rate is requested."""
    if not fps or timing is None or not timing.is_known:
        return stream
    count = frames_at(fps, timing.end_seconds)
    return stream.filter("tpad", stop=-1, stop_mode="clone").filter("trim", end_frame=count)


def frames_at(fps: float, seconds: float) -> int:
    """Return the number of frames that begin within this time."""
    return max(1, math.ceil(seconds * fps - min(_LEAST_FRAME_SECONDS * fps, 0.5)))


def fill_gaps(stream: Stream, timing: AudioTiming) -> Stream:
    """Insert silence before late audio, and into its gaps."""
    least = _GAP_SECONDS if timing.has_gaps else _NEVER_SECONDS
    options = {"async": 1, "first_pts": 0, "min_hard_comp": f"{least:g}"}
    return stream.filter("aresample", **options)


def trim_audio(stream: Stream, seconds: float) -> Stream:
    """Drop the audio before this time, and start the clock there."""
    if seconds > 0:
        stream = stream.filter("atrim", start=_exact(seconds))
    return stream.filter("asetpts", f"round(PTS-{_exact(seconds)}/TB)") if seconds else stream


def burn_subtitles(stream: Stream, name: str, start_seconds: float) -> Stream:
    """Draw subtitles into the frames. Their times are on the clock of the whole video."""
    if not start_seconds:
        return stream.filter("ass", filename=name)
    shift = f"{_exact(start_seconds)}/TB"
    return stream.filter("setpts", f"PTS+{shift}").filter("ass", filename=name).filter("setpts", f"PTS-{shift}")


def channels(stream: Stream, layout: str) -> Stream:
    """Mix the audio to this layout of channels, such as `stereo` or `5.1`."""
    return stream.filter("aformat", channel_layouts=layout)


def loudness(stream: Stream, lufs: float, measured: dict[str, float] | None = None) -> Stream:
    """Measure the loudness, or change it to the target if it is measured. True peak: -1.5 dB."""
    options: dict[str, Any] = {"I": f"{lufs:g}", "TP": "-1.5", "LRA": "11"}
    if measured is None:
        return stream.filter("loudnorm", print_format="json", **options)
    options |= {
        f"measured_{name}": f"{min(max(value, _MEASURABLE[name][0]), _MEASURABLE[name][1]):g}"
        for name, value in measured.items()
    }
    return stream.filter("loudnorm", linear="true", **options)


def _exact(seconds: float) -> str:
    return f"{seconds:.6f}"
