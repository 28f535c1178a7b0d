"""The sound of an output: its codec's options, and its loudness, which is measured first."""

from math import isfinite

import orjson

from dtqs.errors import PermanentError
from dtqs.processors.video import filters
from dtqs.processors.video.codecs import Options
from dtqs.processors.video.command import Stream, output
from dtqs.processors.video.cut import Cut
from dtqs.processors.video.film import Sound
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.rules import audio_codec_of
from dtqs.processors.video.studio import Source, Studio

_PER_CHANNEL = {"aac": 64_000, "opus": 48_000, "mp3": 64_000}
_USUAL_RATES = (44100, 48000)
_MEASURED = {"I": "input_i", "TP": "input_tp", "LRA": "input_lra", "thresh": "input_thresh"}


def channels_of(asked: VideoOutput, sound: Sound) -> int:
    return asked.audio_channels or min(2, sound.channels)


def bit_rate_of(asked: VideoOutput, sound: Sound) -> int:
    return asked.audio_bit_rate or _PER_CHANNEL[audio_codec_of(asked)] * channels_of(asked, sound)


def options(studio: Studio, asked: VideoOutput, sound: Sound) -> Options:
    """Return the encoder's options."""
    codec = audio_codec_of(asked)
    usual = sound.sample_rate if sound.sample_rate in _USUAL_RATES and codec != "opus" else 48000
    return {
        "c:a": studio.encoder(codec),
        "b:a": bit_rate_of(asked, sound),
        "ar": asked.audio_sample_rate or usual,
        "ac": channels_of(asked, sound),
    }


def stream(source: Source, sound: Sound, asked: VideoOutput, measured: dict[str, float] | None) -> Stream:
    """Return the track of the film, at the loudness that was asked for."""
    track = source.sound(sound)
    if asked.loudness_lufs is None or measured is None:
        return track
    return filters.loudness(track, asked.loudness_lufs, measured)


def measure(studio: Studio, asked: VideoOutput, sound: Sound | None, cut: Cut, meter: Meter) -> dict[str, float] | None:
    """Listen to the film once; None where nothing is to be done: not asked for, or silence. Raises PermanentError."""
    if asked.loudness_lufs is None or sound is None:
        return None
    heard = filters.loudness(studio.source(cut).sound(sound), asked.loudness_lufs)
    made = studio.programs.compiled(output([heard], "-", "null"), "info")
    said = studio.programs.ffmpeg.run(made, (studio.file,), meter.watch(cut.seconds, 1, 10))
    start, end = said.rfind("{"), said.rfind("}")
    try:
        figures = orjson.loads(said[start : end + 1])
        measured = {name: float(figures[key]) for name, key in _MEASURED.items()}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise PermanentError(f"output {asked.name}: the loudness could not be measured") from error
    return measured if all(isfinite(value) for value in measured.values()) else None
