"""The audio of an output: the options of its codec, and its loudness, which is measured first."""

from math import isfinite

import orjson

from dtqs.errors import PermanentError
from dtqs.processors.video import filters
from dtqs.processors.video.codecs import Options
from dtqs.processors.video.command import Stream, output
from dtqs.processors.video.excerpt import Excerpt
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.rules import OPUS_BIT_RATE, audio_codec_of
from dtqs.processors.video.studio import Source, Studio
from dtqs.processors.video.video_info import Sound

_PER_CHANNEL = {"aac": 64_000, "opus": 48_000, "mp3": 64_000}
_MOST_BIT_RATE = 320_000
_KEPT_SAMPLE_RATES = (44100, 48000)
_LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
_OPUS_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
"""The layouts by the number of channels. Opus has no 2.1 and no 4.0, which are ffmpeg's own choice."""
_MEASURED = {"I": "input_i", "TP": "input_tp", "LRA": "input_lra", "thresh": "input_thresh"}


def channels_of(spec: VideoOutput, sound: Sound) -> int:
    return spec.audio_channels or min(2, sound.channels)


def bit_rate_of(spec: VideoOutput, sound: Sound) -> int:
    wanted = spec.audio_bit_rate or _PER_CHANNEL[audio_codec_of(spec)] * channels_of(spec, sound)
    # submit knows the number of channels only if the output names it
    return min(wanted, OPUS_BIT_RATE * channels_of(spec, sound)) if audio_codec_of(spec) == "opus" else wanted


def highest_bit_rate(spec: VideoOutput, sound: Sound) -> int:
    """Return the most bits per second that are of use, and that the codec allows with these channels."""
    if audio_codec_of(spec) == "opus":
        return min(_MOST_BIT_RATE, OPUS_BIT_RATE * channels_of(spec, sound))
    return _MOST_BIT_RATE


def options(studio: Studio, spec: VideoOutput, sound: Sound) -> Options:
    """Return the encoder's options."""
    codec = audio_codec_of(spec)
    default = sound.sample_rate if sound.sample_rate in _KEPT_SAMPLE_RATES and codec != "opus" else 48000
    return {
        "c:a": studio.encoder(codec),
        "b:a": bit_rate_of(spec, sound),
        "ar": spec.audio_sample_rate or default,
    }


def stream(source: Source, sound: Sound, spec: VideoOutput, measured: dict[str, float] | None) -> Stream:
    """Return the source's audio track in the output's channels, at the requested loudness."""
    track = _mixed(source, sound, spec)
    if spec.loudness_lufs is None or measured is None:
        return track
    return filters.loudness(track, spec.loudness_lufs, measured)


def measure(
    studio: Studio, spec: VideoOutput, sound: Sound | None, excerpt: Excerpt, meter: Meter
) -> dict[str, float] | None:
    """Measure the loudness of the audio. Return None for silence, or if none is requested. Raises PermanentError."""
    if spec.loudness_lufs is None or sound is None:
        return None
    stream = filters.loudness(_mixed(studio.source(excerpt), sound, spec), spec.loudness_lufs)
    command = studio.programs.compiled(output([stream], "-", "null"), "info")
    log = studio.programs.ffmpeg.run(command, (studio.file,), meter.watch(excerpt.seconds, 1, 10))
    start, end = log.rfind("{"), log.rfind("}")
    try:
        figures = orjson.loads(log[start : end + 1])
        measured = {name: float(figures[key]) for name, key in _MEASURED.items()}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise PermanentError(
            f"output {spec.name}: the loudness could not be measured: ffmpeg reported no figures"
        ) from error
    return measured if all(isfinite(value) for value in measured.values()) else None


def _mixed(source: Source, sound: Sound, spec: VideoOutput) -> Stream:
    """Return the track in the output's channels. Loudness comes later: a mix of channels changes it by up to 6 dB."""
    layouts = _OPUS_LAYOUTS if audio_codec_of(spec) == "opus" else _LAYOUTS
    return filters.channels(source.sound(sound), layouts[channels_of(spec, sound) - 1])
