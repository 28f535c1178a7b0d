"""The rules for an output's fields: those that a format allows, and those that exclude each other; pure.

They are checked at submit, after presets have been applied.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dtqs.processors.video.payload import Rendition, VideoOutput

VIDEOS = ("mp4", "webm", "hls")
SOUNDS = ("aac", "mp3", "opus")
STILLS = ("jpeg", "png")
MOVING = ("gif", "webp")
ALIASES = {"m4a": "aac", "ogg": "opus", "poster": "jpeg"}
VIDEO_CODECS = {"mp4": ("h264", "hevc", "av1"), "webm": ("vp9", "av1"), "hls": ("h264", "hevc", "av1")}
AUDIO_CODECS = {
    "mp4": ("aac", "mp3", "opus"),
    "webm": ("opus",),
    "hls": ("aac",),
    "aac": ("aac",),
    "mp3": ("mp3",),
    "opus": ("opus",),
}
"""The codecs that each format can hold, its default first."""
LEAST_SIDE = {"hevc": 16}
"""The only encoder for hevc, x265, refuses frames with a shorter side. Those of av1 differ: see codecs.py."""
MOST_SIDE = {"webp": 16383}
OPUS_BIT_RATE = 256_000
"""The most bits per second that libopus allows for each channel."""
MOST_FPS = {"gif": 50.0, "webp": 90.0}
"""Browsers show a frame of 10 ms or less for 100 ms, and a GIF counts hundredths of a second."""
CRF_LIMITS = {"h264": 51, "hevc": 51, "vp9": 63, "av1": 63}

_VISUAL = (*VIDEOS, *STILLS, "sprite", *MOVING)
_FILES = ("mp4", "webm")
ONLY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("crop", "deinterlace", "background", "video_track"), _VISUAL),
    **dict.fromkeys(("width", "height", "short_side", "fit", "enlarge"), ("mp4", "webm", *STILLS, "sprite", *MOVING)),
    **dict.fromkeys(("fps", "watermark"), (*VIDEOS, *MOVING)),
    **dict.fromkeys(("video_codec", "crf", "speed", "mute"), VIDEOS),
    **dict.fromkeys(("video_bit_rate", "max_bit_rate", "two_pass", "keyframe_seconds"), _FILES),
    **dict.fromkeys(
        (
            "audio_codec",
            "audio_bit_rate",
            "audio_channels",
            "audio_sample_rate",
            "audio_track",
            "audio_language",
            "loudness_lufs",
        ),
        (*VIDEOS, *SOUNDS),
    ),
    **dict.fromkeys(("max_bytes",), (*_FILES, *SOUNDS)),
    **dict.fromkeys(("keep_metadata",), (*_FILES, *SOUNDS)),
    **dict.fromkeys(("start_seconds", "end_seconds"), (*VIDEOS, *SOUNDS, "sprite", *MOVING)),
    "subtitles": (*VIDEOS, *MOVING),
    "faststart": ("mp4",),
    **dict.fromkeys(("renditions", "segment_seconds"), ("hls",)),
    "at_seconds": STILLS,
    "quality": ("jpeg", "sprite", "webp"),
    **dict.fromkeys(("interval_seconds", "columns", "rows"), ("sprite",)),
    "loop": MOVING,
}
"""Fields that only some formats allow."""


def format_of(output: VideoOutput) -> str:
    """Return the output's format, with aliases replaced."""
    return ALIASES.get(output.format or "mp4", output.format or "mp4")


def video_codec_of(output: VideoOutput) -> str:
    return output.video_codec or VIDEO_CODECS[format_of(output)][0]


def audio_codec_of(output: VideoOutput) -> str:
    return output.audio_codec or AUDIO_CODECS[format_of(output)][0]


def side_fault(output: VideoOutput, size: tuple[int, int]) -> str | None:
    """Return why the encoder refuses frames of this size, or None."""
    format = format_of(output)
    codec = video_codec_of(output) if format in VIDEOS else format
    if min(size) < LEAST_SIDE.get(codec, 0):
        return f"{codec} needs {LEAST_SIDE[codec]} pixels or more each way"
    if max(size) > MOST_SIDE.get(codec, max(size)):
        return f"{codec} allows at most {MOST_SIDE[codec]} pixels each way"
    return None


@dataclass(frozen=True, slots=True)
class Clash:
    """A field that is not allowed, with the reason.

    `beside`: the fields whose values or absence cause it. It is not reported if one of them is itself invalid.
    """

    field: str
    message: str
    beside: tuple[str, ...] = ()


def contradictions(output: VideoOutput) -> Iterator[Clash]:
    """Find each field that is not allowed.

    An invalid field counts as left out. So a clash between two present fields names neither of them in `beside`.
    """
    format = format_of(output)
    for name, formats in ONLY.items():
        if getattr(output, name) not in (None, False) and format not in formats:
            yield Clash(name, f"has no meaning for {format}; allowed with {', '.join(formats)}", ("format",))
    yield from _codecs(output, format)
    yield from _rates(output, format)
    yield from _renditions(output.renditions or ())
    yield from _sizes(output, format)
    yield from _sounds(output, format)
    if output.end_seconds is not None and output.end_seconds <= (output.start_seconds or 0):
        yield Clash("end_seconds", "must be greater than start_seconds", ("start_seconds",))
    if output.fps is not None and output.fps > MOST_FPS.get(format, output.fps):
        yield Clash(
            "fps", f"{format} allows at most {MOST_FPS[format]:g}: browsers slow down a faster one", ("format",)
        )
    if output.subtitles and output.subtitles.mode == "carry" and format in MOVING:
        yield Clash("subtitles.mode", f"{format} has no tracks; allowed: burn", ("format",))
    if output.subtitles and output.subtitles.source is not None and output.subtitles.track:
        yield Clash("subtitles.track", "cannot be combined with source: it is a track of the video itself")


def _codecs(output: VideoOutput, format: str) -> Iterator[Clash]:
    for name, known in (("video_codec", VIDEO_CODECS), ("audio_codec", AUDIO_CODECS)):
        codec = getattr(output, name)
        if codec and format in known and codec not in known[format]:
            yield Clash(name, f"{format} does not hold {codec}; allowed: {', '.join(known[format])}", ("format",))
    if format in VIDEOS:
        limit = CRF_LIMITS[video_codec_of(output)]
        for name, crf in (
            ("crf", output.crf),
            *((f"renditions[{n}].crf", each.crf) for n, each in enumerate(output.renditions or ())),
        ):
            if crf is not None and crf > limit:
                yield Clash(name, f"{video_codec_of(output)} allows 0 to {limit}", ("format", "video_codec"))


def _rates(output: VideoOutput, format: str) -> Iterator[Clash]:
    yield from _one_rate(output)
    if output.max_bytes is not None:
        for name in ("crf", "video_bit_rate", "max_bit_rate"):
            if getattr(output, name) is not None:
                yield Clash(name, "cannot be combined with max_bytes, which decides the bit rate")
        if format in SOUNDS and output.audio_bit_rate is not None:
            yield Clash("audio_bit_rate", "cannot be combined with max_bytes, which decides it", ("format",))
    elif output.two_pass and output.video_bit_rate is None:
        message = "needs video_bit_rate or max_bytes: with constant quality there is no bit rate to distribute"
        yield Clash("two_pass", message, ("video_bit_rate", "max_bytes"))


def _one_rate(rated: VideoOutput | Rendition, at: str = "") -> Iterator[Clash]:
    if rated.video_bit_rate is None:
        return
    if rated.crf is not None:
        yield Clash(f"{at}crf", "cannot be combined with video_bit_rate: choose constant quality or a bit rate")
    if rated.max_bit_rate is not None and rated.max_bit_rate < rated.video_bit_rate:
        yield Clash(f"{at}max_bit_rate", "must not be below video_bit_rate")


def _renditions(renditions: Sequence[Rendition]) -> Iterator[Clash]:
    first: dict[int, int] = {}
    for number, each in enumerate(renditions):
        yield from _one_rate(each, f"renditions[{number}].")
        side: int | None = each.short_side
        # sides are even
        if side is not None and (same := first.setdefault(side // 2, number)) != number:
            message = f"renditions[{same}] has this size already: a stream has each size once"
            yield Clash(f"renditions[{number}].short_side", message)


def _sizes(output: VideoOutput, format: str) -> Iterator[Clash]:
    sides = [(name, getattr(output, name)) for name in ("width", "height", "short_side")]
    sides += [(f"renditions[{n}].short_side", each.short_side) for n, each in enumerate(output.renditions or ())]
    for name, side in sides:
        if side is not None and (fault := side_fault(output, (side, side))):
            yield Clash(name, fault, ("format", "video_codec"))
    if output.short_side is not None:
        for name in ("width", "height"):
            if getattr(output, name) is not None:
                yield Clash(name, "cannot be combined with short_side")
    if output.fit == "pad" and (output.width is None or output.height is None):
        yield Clash("fit", "pad needs width and height", ("width", "height"))


def _sounds(output: VideoOutput, format: str) -> Iterator[Clash]:
    if output.audio_track is not None and output.audio_language is not None:
        yield Clash("audio_language", "cannot be combined with audio_track: choose a number or a language")
    if output.mute:
        for name in (
            "audio_codec",
            "audio_bit_rate",
            "audio_channels",
            "audio_sample_rate",
            "audio_track",
            "audio_language",
            "loudness_lufs",
        ):
            if getattr(output, name) is not None:
                yield Clash(name, "cannot be combined with mute")
    if format in AUDIO_CODECS and audio_codec_of(output) == "mp3" and (output.audio_channels or 0) > 2:
        yield Clash("audio_channels", "mp3 allows at most 2", ("format", "audio_codec"))
    if (
        format in AUDIO_CODECS
        and audio_codec_of(output) == "opus"
        and output.audio_sample_rate in (22050, 32000, 44100)
    ):
        yield Clash("audio_sample_rate", "opus allows 8000, 12000, 16000, 24000 or 48000", ("format", "audio_codec"))
    yield from _audio_limits(output, format)


def _audio_limits(output: VideoOutput, format: str) -> Iterator[Clash]:
    if format not in AUDIO_CODECS:
        return
    codec = audio_codec_of(output)
    if format == "mp4" and codec == "mp3" and output.audio_sample_rate in (8000, 12000):
        yield Clash("audio_sample_rate", "mp3 in an mp4 needs 16000 or more", ("format", "audio_codec"))
    most = OPUS_BIT_RATE * (output.audio_channels or 2)
    if codec == "opus" and output.audio_bit_rate is not None and output.audio_bit_rate > most:
        message = f"opus allows at most {OPUS_BIT_RATE} for each channel, here {most}"
        yield Clash("audio_bit_rate", message, ("format", "audio_codec", "audio_channels"))
