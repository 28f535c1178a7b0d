"""Filters for times, text and sound. Those for the look of the picture stand in paint.py."""

from typing import Any

from dtqs.processors.video.command import Stream


def beat(stream: Stream, fps: float | None) -> Stream:
    """Show so many pictures per second; None: as many as come."""
    return stream.filter("fps", fps=f"{fps:g}") if fps else stream


def picture_from(stream: Stream, seconds: float) -> Stream:
    """Drop what is before, and begin the clock there."""
    return stream.filter("trim", start=_exact(seconds)).filter("setpts", f"PTS-{_exact(seconds)}/TB") if seconds else stream


def sound_from(stream: Stream, seconds: float) -> Stream:
    """Drop what is before, and begin the clock there."""
    return stream.filter("atrim", start=_exact(seconds)).filter("asetpts", f"PTS-{_exact(seconds)}/TB") if seconds else stream


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
