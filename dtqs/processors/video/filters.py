"""What happens to the picture and the sound on their way, as graphs of filters; the names of all filters stand here."""

from typing import Any

import ffmpeg

from dtqs.processors.video.command import Stream
from dtqs.processors.video.geometry import Frame
from dtqs.processors.video.payload import Position, VideoOutput, Watermark

_TONE_MAP = (
    ("zscale", {"t": "linear", "npl": 100}),
    ("format", {"pix_fmts": "gbrpf32le"}),
    ("zscale", {"p": "bt709"}),
    ("tonemap", {"tonemap": "hable", "desat": 0}),
    ("zscale", {"t": "bt709", "m": "bt709", "r": "tv"}),
)
"""From high dynamic range to what every screen shows."""
_ACROSS = {"left": "{margin}", "centre": "(W-w)/2", "right": "W-w-{margin}"}
_DOWN = {"top": "{margin}", "middle": "(H-h)/2", "bottom": "H-h-{margin}"}


def picture(stream: Stream, frame: Frame, output: VideoOutput, is_hdr: bool, full_range: bool = False) -> Stream:
    """Deinterlace, crop, scale, pad and set the rate, in this order."""
    if output.deinterlace:
        stream = stream.filter("bwdif", mode="send_frame")
    if frame.crop:
        stream = _crop(stream, (frame.crop.width, frame.crop.height), (frame.crop.x, frame.crop.y))
    if is_hdr:
        for name, options in _TONE_MAP:
            stream = stream.filter(name, **options)
    stream = scaled(stream, frame, output.background, full_range)
    if output.fps:
        stream = stream.filter("fps", fps=f"{output.fps:g}")
    return stream


def picture_from(stream: Stream, seconds: float) -> Stream:
    """Drop what is before, and begin the clock there."""
    return stream.filter("trim", start=_exact(seconds)).filter("setpts", f"PTS-{_exact(seconds)}/TB") if seconds else stream


def sound_from(stream: Stream, seconds: float) -> Stream:
    """Drop what is before, and begin the clock there."""
    return stream.filter("atrim", start=_exact(seconds)).filter("asetpts", f"PTS-{_exact(seconds)}/TB") if seconds else stream


def scaled(stream: Stream, frame: Frame, background: str | None = None, full_range: bool = False) -> Stream:
    """Bring it to its size, with square pixels."""
    stream = stream.filter("scale", *frame.scaled, out_range="pc" if full_range else "tv").filter("setsar", "1")
    if frame.middle:
        stream = _crop(stream, frame.middle, ("(iw-ow)/2", "(ih-oh)/2"))
    if frame.padded:
        colour = f"0x{(background or '#000000')[1:]}"
        stream = stream.filter("pad", *frame.padded, "(ow-iw)/2", "(oh-ih)/2", color=colour)
    return stream


def marked(stream: Stream, mark: Stream, watermark: Watermark) -> Stream:
    """Lay a picture over it, which has its final size already."""
    x, y = place_of(watermark.position, watermark.margin)
    return stream.overlay(mark, x=x, y=y, format="auto")


def subtitled(stream: Stream, name: str, start_seconds: float) -> Stream:
    """Burn in subtitles, whose clock is that of the whole film."""
    if not start_seconds:
        return stream.filter("ass", filename=name)
    shift = f"{_exact(start_seconds)}/TB"
    return stream.filter("setpts", f"PTS+{shift}").filter("ass", filename=name).filter("setpts", f"PTS-{shift}")


def limited_palette(stream: Stream) -> Stream:
    """The 256 colours of a GIF, chosen for this film."""
    halves = stream.filter_multi_output("split")
    return ffmpeg.filter([halves[0], halves[1].filter("palettegen", stats_mode="diff")], "paletteuse")


def loudness(stream: Stream, lufs: float, measured: dict[str, float] | None = None) -> Stream:
    """Measure the loudness, or, with what was measured, bring it to this one. True peak 1.5 dB under the limit."""
    options: dict[str, Any] = {"I": f"{lufs:g}", "TP": "-1.5", "LRA": "11"}
    if measured is None:
        return stream.filter("loudnorm", print_format="json", **options)
    options |= {f"measured_{name}": f"{value:g}" for name, value in measured.items()}
    return stream.filter("loudnorm", linear="true", **options)


def place_of(position: Position, margin: int) -> tuple[str, str]:
    """Return the two expressions of an overlay's place."""
    words = position.split("-")
    across = next((word for word in words if word in ("left", "right")), "centre")
    down = next((word for word in words if word in ("top", "bottom")), "middle")
    return _ACROSS[across].format(margin=margin), _DOWN[down].format(margin=margin)


def _exact(seconds: float) -> str:
    return f"{seconds:.6f}"


def _crop(stream: Stream, size: tuple[int, int], at: tuple[Any, Any]) -> Stream:
    return stream.filter("crop", *size, *at, exact=1)
