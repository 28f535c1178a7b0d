"""Check each output before it is stored: one that is cut short, or lacks a stream, fails the task."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dtqs.errors import PermanentError
from dtqs.processors.video.ffmpeg import Ffmpeg
from dtqs.processors.video.geometry import Size
from dtqs.processors.video.video_info import VideoInfo

SLACK_SECONDS = 0.5
_LOOK = Path(__file__).with_name("look.py")
_PART, _MOST_SECONDS = 0.01, 1.0


@dataclass(frozen=True, slots=True)
class Expected:
    """The required contents of an output. None: the track must be absent, or its property is unknown."""

    video_codec: str | None = None
    size: Size | None = None
    audio_codec: str | None = None
    picture_seconds: float | None = None
    sound_seconds: float | None = None
    subtitles: int = 0
    most_seconds: float | None = None
    """The length of the whole file. Players show the container's, which also counts chapters and subtitles."""


def check(name: str, made: VideoInfo, expected: Expected, limit_seconds: float) -> None:
    """Compare an output with its required contents. Raises PermanentError that names the difference."""
    picture = made.picture
    sound = made.sounds[0] if made.sounds else None
    if (picture.codec if picture else None) != expected.video_codec:
        raise _failed(name, f"its video is {picture.codec if picture else 'missing'}, not {expected.video_codec}")
    if picture and expected.size and (picture.width, picture.height) != expected.size:
        raise _failed(
            name, f"it has {picture.width} × {picture.height} pixels, not {expected.size[0]} × {expected.size[1]}"
        )
    if (sound.codec if sound else None) != expected.audio_codec:
        raise _failed(name, f"its audio is {sound.codec if sound else 'missing'}, not {expected.audio_codec}")
    if len(made.subtitles) < expected.subtitles:
        raise _failed(name, "its subtitles are missing")
    for kind, track, seconds in (
        ("video", picture, expected.picture_seconds),
        ("audio", sound, expected.sound_seconds),
    ):
        check_seconds(name, kind, track.end_seconds if track else None, seconds, limit_seconds)
    most, whole = expected.most_seconds, made.container_seconds or 0.0
    if most is not None and whole > most + allowed_gap(most):
        raise _failed(name, f"it lasts {whole:.2f} s, not {most:.2f} s")


def check_seconds(name: str, kind: str, ends: float | None, expected: float | None, limit_seconds: float) -> None:
    """Compare the end of a track with the source's. Raises PermanentError."""
    seconds = ends or 0.0
    if expected is not None and seconds < expected - allowed_gap(expected):
        raise _failed(
            name, f"its {kind} ends at {seconds:.2f} s, not at {expected:.2f} s: the source is cut short or broken"
        )
    if seconds > limit_seconds + SLACK_SECONDS:
        raise _failed(
            name,
            f"it is longer than {limit_seconds:g} s, the limit max_duration_seconds: the source is longer than it says",
        )


def allowed_gap(seconds: float) -> float:
    """Return the tolerance for the duration of the last frame, and for tracks of unequal length."""
    return SLACK_SECONDS + min(_PART * seconds, _MOST_SECONDS)


class _ImageReport(BaseModel):
    """The answer of look.py, validated because the program reads hostile bytes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    frames: int = Field(default=0, ge=0)
    milliseconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    wrong: str = Field(default="", max_length=500)


def check_picture(ffmpeg: Ffmpeg, name: str, file: BinaryIO, format: str, size: Size) -> tuple[int, float]:
    """Decode a finished image in the jail; return its frames and their seconds. Raises PermanentError."""
    if file.seek(0, 2) == 0:
        raise _failed(name, "it is empty: the video has no frame at that time, or is cut short or broken")
    answer = ffmpeg.python(_LOOK, [str(file.fileno()), format, *map(str, size)], [file])
    try:
        report = _ImageReport.model_validate_json(answer)
    except ValidationError as error:
        raise _failed(name, "it cannot be opened again") from error
    if report.wrong or not report.frames:
        raise _failed(name, report.wrong or "it has no frame")
    return report.frames, report.milliseconds / 1000


def _failed(name: str, why: str) -> PermanentError:
    return PermanentError(f"output {name} was made, but is not correct: {why}")
