"""Map codecs to ffmpeg's encoders, and build each encoder's options for quality, bit rate, speed and pass; pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

from dtqs.errors import PermanentError
from dtqs.processors.video.excerpt import VideoTiming
from dtqs.processors.video.filters import frames_at
from dtqs.processors.video.payload import Speed

Options = dict[str, str | int | float]
ENCODERS: Mapping[str, tuple[str, ...]] = {
    "h264": ("libx264",),
    "hevc": ("libx265",),
    "av1": ("libsvtav1", "libaom-av1"),
    "vp9": ("libvpx-vp9",),
    "aac": ("aac",),
    "opus": ("libopus",),
    "mp3": ("libmp3lame",),
}
"""The encoders of each codec, the better one first: builds of ffmpeg differ."""
LEAST_SIDE = {"libsvtav1": 64}
"""Encoders that refuse frames with a shorter side, where another one of the codec takes them."""
TWO_PASSES = frozenset({"libx264", "libx265", "libvpx-vp9", "libaom-av1"})
TRANSPARENT: Options = {"pix_fmt": "yuva420p", "auto-alt-ref": 0}
"""libvpx cannot use its look-ahead (alternate reference frames) with transparency."""
PASS_LOG = "passes"
"""A file name in the attempt's own folder, where ffmpeg runs."""

_TICKS = {"mp4": Fraction(1, 90_000), "hls": Fraction(1, 90_000), "webm": Fraction(1, 1000)}
"""The clock of frames without a fixed rate. The muxer keeps it, so `setts` can count in it."""
_COARSE = Fraction(1, 100)
_ROUNDING_SECONDS, _SPARSE_SECONDS = 0.0005, 0.5
_UNEVEN = 1.5
_OVERHANG_SECONDS, _LATE_SECONDS = 0.04, 0.01
_CRF = {"libx264": 23, "libx265": 26, "libsvtav1": 35, "libaom-av1": 32, "libvpx-vp9": 32}
_SPEEDS: tuple[Speed, ...] = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
_NUMBERS = {
    "libsvtav1": ("preset", (12, 11, 10, 9, 9, 8, 6, 5, 4)),
    "libaom-av1": ("cpu-used", (8, 8, 8, 7, 6, 5, 4, 3, 2)),
    "libvpx-vp9": ("cpu-used", (5, 5, 5, 4, 3, 2, 1, 1, 0)),
}
"""The encoders whose speed is a number."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Either constant quality (crf), perhaps with a highest bit rate, or a bit rate; and the bit rate of the audio."""

    crf: int | None = None
    bit_rate: int | None = None
    max_bit_rate: int | None = None
    sound_bit_rate: int | None = None


def encoder(codec: str, known: Collection[str]) -> str:
    """Return the codec's first encoder that this ffmpeg has. Raises PermanentError."""
    for name in ENCODERS[codec]:
        if name in known:
            return name
    raise PermanentError(f"this node's ffmpeg has no encoder for {codec}: it needs {' or '.join(ENCODERS[codec])}")


def parse_encoders(answer: bytes) -> frozenset[str]:
    """Read the names from the output of `ffmpeg -encoders`."""
    lines = (line.split() for line in answer.decode("utf-8", "replace").splitlines())
    return frozenset(words[1] for words in lines if len(words) > 2 and len(words[0]) == 6 and words[0][0] in "VAS")


def video(name: str, rate: Rate, speed: Speed | None) -> Options:
    """Return the options of a video encoder, the same in both passes."""
    # no fixed rate: some videos claim thousands of frames a second, and both passes must see the same frames
    options: Options = {
        "pix_fmt": "yuv420p",
        "fps_mode:v": "vfr",
        **_speed(name, speed or "medium"),
        **_quality(name, rate),
    }
    if name == "libx265":
        options |= {"tag:v": "hvc1"} | _x265()  # Apple's players need this tag
    return options


def timing(frames: VideoTiming | None, fps: float | None, format: str) -> Options:
    """Return the options that keep the time of each frame, and the duration of the last one."""
    if frames is None or not frames.is_known:
        return {}
    if fps:
        return _even_timing(frames, fps, format)
    tick = 1 / frames.rate if frames.rate and not frames.is_held else _TICKS[format]
    options: Options = {"enc_time_base:v": f"{tick.numerator}/{tick.denominator}"}
    duration = "DURATION"
    if frames.is_held:
        duration = _lasting(format, frames.last_seconds - _ROUNDING_SECONDS, frames.end_seconds)
    is_uneven = frames.rate is None or frames.longest_seconds > _UNEVEN * frames.usual_seconds
    # a fragment begins at the sum of the durations before it, and the muxer guesses the last duration of each
    if format == "hls" and is_uneven:
        duration = f"if(gt(NEXT_DTS\\,DTS)\\,NEXT_DTS-DTS\\,{duration})"
    if duration != "DURATION":
        options["bsf:v"] = f"setts=duration={duration}"
    if frames.is_held or frames.longest_seconds > _SPARSE_SECONDS or (format == "hls" and is_uneven):
        options["bf"] = 0  # with B-frames, which are decoded out of order, the video would end early or late
    return options


def _even_timing(frames: VideoTiming, fps: float, format: str) -> Options:
    """Return the options that end the last frame of a fixed rate with the excerpt, if its interval ends later."""
    if (shown_seconds := last_frame_seconds(frames, fps)) is None:
        return {}
    last, tick = frames.end_seconds - shown_seconds, _TICKS[format]
    duration = _lasting(format, last - _LATE_SECONDS, frames.end_seconds)
    options: Options = {"bsf:v": f"setts=duration={duration}", "bf": 0}
    # WebM's muxer has this clock anyway, and libvpx distributes its bits best with a tick for each frame
    return options if format == "webm" else options | {"enc_time_base:v": f"{tick.numerator}/{tick.denominator}"}


def _lasting(format: str, after_seconds: float, end_seconds: float) -> str:
    """Return the expression that ends the frame after this time at the end, and leaves the others as they are."""
    after, end = after_seconds / _TICKS[format], end_seconds / _TICKS[format]
    return f"if(gt(PTS\\,{after:.1f})\\,max(1\\,{end:.0f}-PTS)\\,DURATION)"


def last_frame_seconds(frames: VideoTiming, fps: float) -> float | None:
    """Return how long the last frame of a fixed rate is shown; None if that is about its interval."""
    count = frames_at(fps, frames.end_seconds)
    if count / fps - frames.end_seconds <= _OVERHANG_SECONDS:
        return None
    return frames.end_seconds - (count - 1) / fps


def paced(options: Options, fps: float) -> Options:
    """Return the options of libvpx's two passes, with a coarser clock if the clock is fine.

    libvpx assumes that each frame lasts one tick of the clock, and distributes bits accordingly. A coarser clock, and
    bit rates raised by the same factor, bring it near the requested rate. Frames are then up to 5 ms off.
    """
    if options.get("enc_time_base:v") != f"1/{_TICKS['webm'].denominator}":
        return options
    ticks = max(1.0, 1 / (fps * _COARSE))
    raised = {name: round(int(options[name]) * ticks) for name in ("b:v", "maxrate", "bufsize") if name in options}
    return options | {"enc_time_base:v": f"1/{_COARSE.denominator}"} | raised


def pass_options(name: str, number: int) -> Options:
    """Return the additional options of one of two passes."""
    if name == "libx265":
        return _x265(f"pass={number}", f"stats={PASS_LOG}.x265")
    return {"pass": number, "passlogfile": PASS_LOG}


def _x265(*more: str) -> Options:
    """Return the encoder's own parameters. Frames of an open GOP may refer to others before their key frame."""
    return {"x265-params": ":".join(("log-level=error", "open-gop=0", *more))}


def _quality(name: str, rate: Rate) -> Options:
    most: Options = {"maxrate": rate.max_bit_rate, "bufsize": 2 * rate.max_bit_rate} if rate.max_bit_rate else {}
    if rate.bit_rate is not None:
        # newer versions of SVT-AV1 refuse a highest rate beside a bit rate
        return {"b:v": rate.bit_rate} | ({} if name == "libsvtav1" else most)
    crf = _CRF[name] if rate.crf is None else rate.crf
    # ffmpeg ignores 0 for SVT-AV1, and takes its default
    quality: Options = {"crf": max(1, crf) if name == "libsvtav1" else crf}
    if name == "libvpx-vp9":
        # its crf counts as a quality only below this bit rate; 0 means no limit
        return quality | {"b:v": rate.max_bit_rate or 0}
    if name == "libaom-av1":
        return quality | {"b:v": rate.max_bit_rate or 0}
    return quality | most


def _speed(name: str, speed: Speed) -> Options:
    if name not in _NUMBERS:
        return {"preset": speed}
    option, numbers = _NUMBERS[name]
    options: Options = {option: numbers[_SPEEDS.index(speed)]}
    if name == "libvpx-vp9":
        options |= {"deadline": "good", "row-mt": 1}
    return options
