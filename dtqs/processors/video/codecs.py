"""The encoders: which of ffmpeg's does which codec, and how each is told quality, bit rate, speed and pass; pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

from dtqs.errors import PermanentError
from dtqs.processors.video.cut import Shown
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
"""The better one first; what a build of ffmpeg has differs."""
TWO_PASSES = frozenset({"libx264", "libx265", "libvpx-vp9", "libaom-av1"})
TRANSPARENT: Options = {"pix_fmt": "yuva420p", "auto-alt-ref": 0}
"""libvpx cannot look ahead in films that are transparent."""
PASS_LOG = "passes"
"""A name in the attempt's own folder, in which ffmpeg runs."""

_TICKS = {"mp4": Fraction(1, 90_000), "hls": Fraction(1, 90_000), "webm": Fraction(1, 1000)}
"""The clock of pictures that come on no beat: one that the muxer takes as it is, in which `setts` counts."""
_COARSE = Fraction(1, 100)
_HAIR_SECONDS, _SPARSE_SECONDS = 0.0005, 0.5
_UNEVEN = 1.5
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
"""Where a speed has no name but a number."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How the bits are spent: constant quality (crf), perhaps below a rate, or a rate in bits per second; and those of the sound."""

    crf: int | None = None
    bit_rate: int | None = None
    max_bit_rate: int | None = None
    sound_bit_rate: int | None = None


def encoder(codec: str, known: Collection[str]) -> str:
    """Return the first encoder for a codec that this ffmpeg has. Raises PermanentError."""
    for name in ENCODERS[codec]:
        if name in known:
            return name
    raise PermanentError(f"this node's ffmpeg has no encoder for {codec}: {' or '.join(ENCODERS[codec])} would do")


def listed(answer: bytes) -> frozenset[str]:
    """Read the names out of what `ffmpeg -encoders` prints."""
    lines = (line.split() for line in answer.decode("utf-8", "replace").splitlines())
    return frozenset(words[1] for words in lines if len(words) > 2 and len(words[0]) == 6 and words[0][0] in "VAS")


def video(name: str, rate: Rate, speed: Speed | None, keyframe_seconds: float | None = None) -> Options:
    """Return the options of a video encoder, for both passes where there are two."""
    # never filled up to a fixed rate: some films claim thousands of pictures a second; and both passes must see the same pictures
    options: Options = {
        "pix_fmt": "yuv420p",
        "fps_mode:v": "vfr",
        **_speed(name, speed or "medium"),
        **_quality(name, rate),
    }
    if keyframe_seconds:
        options["force_key_frames"] = f"expr:gte(t,n_forced*{keyframe_seconds:g})"
    if name == "libx265":
        options |= {"tag:v": "hvc1", "x265-params": "log-level=error"}  # the tag by which players of one maker know it
    return options


def timing(shown: Shown | None, fps: float | None, format: str) -> Options:
    """Return the options by which each picture keeps its time, and the last one lasts as long as it should."""
    if shown is None or not shown.is_known or fps:
        return {}
    tick = 1 / shown.rate if shown.rate and not shown.is_held else _TICKS[format]
    options: Options = {"enc_time_base:v": f"{tick.numerator}/{tick.denominator}"}
    lasts = "DURATION"
    if shown.is_held:
        last, end = ((seconds / _TICKS[format]) for seconds in (shown.last_seconds - _HAIR_SECONDS, shown.end_seconds))
        lasts = f"if(gt(PTS\\,{last:.1f})\\,max(1\\,{end:.0f}-PTS)\\,DURATION)"
    is_uneven = shown.rate is None or shown.longest_seconds > _UNEVEN * shown.usual_seconds
    if (
        format == "hls" and is_uneven
    ):  # a fragment begins where the lengths before it end, and its muxer guesses the last one
        lasts = f"if(gt(NEXT_DTS\\,DTS)\\,NEXT_DTS-DTS\\,{lasts})"
    if lasts != "DURATION":
        options["bsf:v"] = f"setts=duration={lasts}"
    if shown.is_held or shown.longest_seconds > _SPARSE_SECONDS or (format == "hls" and is_uneven):
        options["bf"] = 0  # a picture that is decoded late would end the film late, or early
    return options


def paced(options: Options, fps: float) -> Options:
    """Return options of libvpx's two passes on a fine clock.

    It takes each picture to last one tick of the clock, and shares out bits by that. A coarser clock and a rate that is raised alike bring it near the
    rate that was asked for; pictures are up to 5 ms off.
    """
    if options.get("enc_time_base:v") != f"1/{_TICKS['webm'].denominator}":
        return options
    ticks = max(1.0, 1 / (fps * _COARSE))
    return options | {"enc_time_base:v": f"1/{_COARSE.denominator}", "b:v": round(int(options["b:v"]) * ticks)}


def pass_options(name: str, number: int) -> Options:
    """Return what one of two passes needs beside."""
    if name == "libx265":
        return {"x265-params": f"log-level=error:pass={number}:stats={PASS_LOG}.x265"}
    return {"pass": number, "passlogfile": PASS_LOG}


def _quality(name: str, rate: Rate) -> Options:
    most: Options = {"maxrate": rate.max_bit_rate, "bufsize": 2 * rate.max_bit_rate} if rate.max_bit_rate else {}
    if rate.bit_rate is not None:
        return {"b:v": rate.bit_rate} | most
    quality: Options = {"crf": _CRF[name] if rate.crf is None else rate.crf}
    if name == "libvpx-vp9":
        # its crf holds below the bit rate, and without one only if that is nought
        return quality | {"b:v": rate.max_bit_rate or 0}
    if name == "libaom-av1":
        return quality | {"b:v": rate.max_bit_rate or 0}
    return quality | (most if name != "libsvtav1" else {})


def _speed(name: str, speed: Speed) -> Options:
    if name not in _NUMBERS:
        return {"preset": speed}
    option, numbers = _NUMBERS[name]
    options: Options = {option: numbers[_SPEEDS.index(speed)]}
    if name == "libvpx-vp9":
        options |= {"deadline": "good", "row-mt": 1}
    return options
