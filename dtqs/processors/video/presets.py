"""Presets: named sets of output fields, built in or from `[processor:video] presets`, and how outputs use them."""

from collections.abc import Mapping

import orjson
from pydantic import ValidationError

from dtqs.errors import Problem
from dtqs.processors.faults import payload_problems
from dtqs.processors.video.payload import Fields, VideoOutput
from dtqs.suggestion import suggestion

Presets = Mapping[str, Fields]

BUILT_IN: Presets = {
    "web-480p": Fields(format="mp4", short_side=480, crf=23, max_bit_rate=2_000_000, audio_bit_rate=96_000),
    "web-720p": Fields(format="mp4", short_side=720, crf=23, max_bit_rate=4_000_000),
    "web-1080p": Fields(format="mp4", short_side=1080, crf=23, max_bit_rate=8_000_000),
    "web-2160p": Fields(format="mp4", short_side=2160, crf=23, max_bit_rate=30_000_000),
    "hevc-1080p": Fields(format="mp4", video_codec="hevc", short_side=1080, crf=26, max_bit_rate=6_000_000),
    "av1-1080p": Fields(format="mp4", video_codec="av1", short_side=1080, crf=35),
    "webm-720p": Fields(format="webm", short_side=720, crf=33),
    "hls-adaptive": Fields(format="hls"),
    "audio-podcast": Fields(format="mp3", audio_bit_rate=128_000, loudness_lufs=-16.0),
    "audio-aac": Fields(format="aac"),
    "audio-opus": Fields(format="opus"),
    "poster": Fields(format="poster", short_side=720),
    "sprite": Fields(format="sprite", width=160),
    "preview": Fields(format="webp", width=320, fps=8.0, end_seconds=6.0),
    "preview-gif": Fields(format="gif", width=320, fps=8.0, end_seconds=6.0),
}
_GROUPS = (
    {"width", "height", "short_side"},
    {"crf", "video_bit_rate", "max_bit_rate", "two_pass", "max_bytes"},
    {"start_seconds", "end_seconds"},
)
"""Fields that belong together: an output that sets one field of a group gets none of the group from its preset."""


def parse(text: str) -> Presets:
    """Read presets from a JSON object by name. Raises ValueError that lists the faults of all presets."""
    given = orjson.loads(text) if text.strip() else {}
    if not isinstance(given, dict):
        raise ValueError("must be a JSON object of presets by name")
    presets: dict[str, Fields] = {}
    problems: list[Problem] = []
    for name, fields in given.items():
        try:
            presets[name] = Fields.model_validate(fields)
        except ValidationError as error:
            problems += payload_problems(error, Fields, name)
    if problems:
        raise ValueError("; ".join(f"{problem.field}: {problem.message}" for problem in problems))
    return presets


def unknown(name: str, presets: Presets) -> str:
    """Return a message that the preset does not exist, with similar names."""
    return f"no such preset{suggestion(name, sorted(presets))}"


def resolve(output: VideoOutput, presets: Presets) -> VideoOutput:
    """Return the output, with its preset's values for the fields that it leaves out.

    Raises KeyError for an unknown preset.
    """
    if output.preset is None:
        return output
    preset = presets[output.preset]
    names = preset.model_fields_set - settled_fields(output)
    return output.model_copy(update={name: getattr(preset, name) for name in names})


def settled_fields(output: VideoOutput) -> set[str]:
    """Return the fields that no preset may change: those that the output sets, with their groups."""
    names = set(output.model_fields_set)
    for group in _GROUPS:
        names |= group if group & names else set()
    return names
