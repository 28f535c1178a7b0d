"""Filters for times, text and sound. Those for the look of the picture stand in paint.py."""

from typing import Any

from dtqs.processors.video.command import Stream
from dtqs.processors.video.cut import Heard, Shown

_HAIR_SECONDS = 0.00001
_GAP_SECONDS, _NEVER_SECONDS = 0.03, 1e6


def beat(stream: Stream, fps: float | None) -> Stream:
    """Show so many pictures per second; None: as many as come."""
    # the last picture may be the only one, and a filter drops what does not fill half a beat
    return repeated(stream).filter("fps", fps=f"{fps:g}", start_time=0, eof_action="pass") if fps else stream


def picture_from(stream: Stream, seconds: float) -> Stream:
    """Drop what is before, and begin the clock there."""
    return (
        stream.filter("trim", start=_exact(seconds)).filter("setpts", f"PTS-{_exact(seconds)}/TB")
        if seconds
        else stream
    )


def repeated(stream: Stream) -> Stream:
    """Show the last picture twice."""
    return stream.filter("tpad", stop=1, stop_mode="clone")


def placed(
    stream: Stream, lead_seconds: float, before_seconds: float, shown: Shown, *, repeats_last: bool, from_start: bool
) -> Stream:
    """Put each picture to its time in the part, which begins that long after the input does, and its first picture so long before the part."""
    if lead_seconds - before_seconds > 2 * _HAIR_SECONDS:
        stream = stream.filter("trim", start=_exact(lead_seconds - before_seconds - _HAIR_SECONDS))
    if lead_seconds:
        stream = stream.filter("settb", "AVTB")
    time = usual = f"round(PTS-{_exact(lead_seconds)}/TB)" if lead_seconds else "PTS"
    if repeats_last and shown.is_held:
        last = _exact(shown.last_seconds + lead_seconds + _HAIR_SECONDS / 2)
        time = f"if(gt(T,{last}),{_exact(shown.end_seconds - shown.usual_seconds)}/TB,{time})"
    if before_seconds and (from_start or not shown.begin_seconds):
        time = f"if(eq(N,0),0,{time})"
    return stream if time == usual == "PTS" else stream.filter("setpts", time)


def held(stream: Stream, fps: float | None, shown: Shown | None) -> Stream:
    """Let pictures of a rate that was asked for go on to the end, the last one again and again."""
    if not fps or shown is None or not shown.is_known:
        return stream
    count = max(1, round(shown.end_seconds * fps))
    return stream.filter("tpad", stop=-1, stop_mode="clone").filter("trim", end_frame=count)


def filled(stream: Stream, heard: Heard) -> Stream:
    """Put silence where the sound has none yet, and into its gaps."""
    least = _GAP_SECONDS if heard.has_gaps else _NEVER_SECONDS
    options = {"async": 1, "first_pts": 0, "min_hard_comp": f"{least:g}"}
    return stream.filter("aresample", **options)


def sound_from(stream: Stream, seconds: float) -> Stream:
    """Drop what is before, and begin the clock there."""
    if seconds > 0:
        stream = stream.filter("atrim", start=_exact(seconds))
    return stream.filter("asetpts", f"round(PTS-{_exact(seconds)}/TB)") if seconds else stream


def subtitled(stream: Stream, name: str, start_seconds: float) -> Stream:
    """Burn in subtitles, whose clock is that of the whole film."""
    if not start_seconds:
        return stream.filter("ass", filename=name)
    shift = f"{_exact(start_seconds)}/TB"
    return stream.filter("setpts", f"PTS+{shift}").filter("ass", filename=name).filter("setpts", f"PTS-{shift}")


def loudness(stream: Stream, lufs: float, measured: dict[str, float] | None = None) -> Stream:
    """Measure the loudness, or, with what was measured, bring it to this one. True peak 1.5 dB under the limit."""
    options: dict[str, Any] = {"I": f"{lufs:g}", "TP": "-1.5", "LRA": "11"}
    if measured is None:
        return stream.filter("loudnorm", print_format="json", **options)
    options |= {f"measured_{name}": f"{value:g}" for name, value in measured.items()}
    return stream.filter("loudnorm", linear="true", **options)


def _exact(seconds: float) -> str:
    return f"{seconds:.6f}"
