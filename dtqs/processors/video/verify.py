"""Looks at what was made, before anybody gets it: an output that is cut short, or lacks a stream, is a failure and no success."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dtqs.errors import PermanentError
from dtqs.processors.video.ffmpeg import Ffmpeg
from dtqs.processors.video.film import Film
from dtqs.processors.video.geometry import Size

SLACK_SECONDS = 0.5
_LOOK = Path(__file__).with_name("look.py")
_PART, _MOST_SECONDS = 0.01, 1.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be in an output; None: nothing of that sort, or nobody knows."""

    video_codec: str | None = None
    size: Size | None = None
    audio_codec: str | None = None
    picture_seconds: float | None = None
    sound_seconds: float | None = None
    subtitles: int = 0


def check(name: str, made: Film, expected: Expected, limit_seconds: float) -> None:
    """Raises PermanentError, which says what is missing."""
    picture = made.picture
    sound = made.sounds[0] if made.sounds else None
    if (picture.codec if picture else None) != expected.video_codec:
        raise _failed(name, f"its picture is {picture.codec if picture else 'missing'}, not {expected.video_codec}")
    if picture and expected.size and (picture.width, picture.height) != expected.size:
        raise _failed(
            name, f"it has {picture.width} × {picture.height} pixels, not {expected.size[0]} × {expected.size[1]}"
        )
    if (sound.codec if sound else None) != expected.audio_codec:
        raise _failed(name, f"its sound is {sound.codec if sound else 'missing'}, not {expected.audio_codec}")
    if len(made.subtitles) < expected.subtitles:
        raise _failed(name, "its subtitles are missing")
    for what, track, seconds in (
        ("picture", picture, expected.picture_seconds),
        ("sound", sound, expected.sound_seconds),
    ):
        check_seconds(name, what, track.end_seconds if track else None, seconds, limit_seconds)


def check_seconds(name: str, what: str, ends: float | None, expected: float | None, limit_seconds: float) -> None:
    """Judge where a track ends by what the source holds. Raises PermanentError."""
    seconds = ends or 0.0
    if expected is not None and seconds < expected - allowed_gap(expected):
        raise _failed(
            name, f"its {what} ends at {seconds:.2f} s, not at {expected:.2f} s: the source is cut short or broken"
        )
    if seconds > limit_seconds + SLACK_SECONDS:
        raise _failed(
            name, f"it is longer than {limit_seconds:g} s, which is the limit: the source is longer than it says"
        )


def allowed_gap(seconds: float) -> float:
    """The last picture's own time, and the ends of tracks that differ, are no fault."""
    return SLACK_SECONDS + min(_PART * seconds, _MOST_SECONDS)


class _Looked(BaseModel):
    """The answer of look.py. It has read hostile bytes, so it is not believed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    frames: int = Field(default=0, ge=0)
    milliseconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    wrong: str = Field(default="", max_length=500)


def check_picture(ffmpeg: Ffmpeg, name: str, file: BinaryIO, format: str, size: Size) -> tuple[int, float]:
    """Have a picture opened again, whole; return its frames and the seconds that they take. Raises PermanentError."""
    if file.seek(0, 2) == 0:
        raise _failed(name, "there is nothing in it: the film has no picture at that time, or is cut short or broken")
    answer = ffmpeg.python(_LOOK, [str(file.fileno()), format, *map(str, size)], [file])
    try:
        looked = _Looked.model_validate_json(answer)
    except ValidationError as error:
        raise _failed(name, "it cannot be opened again") from error
    if looked.wrong or not looked.frames:
        raise _failed(name, looked.wrong or "it has no frame")
    return looked.frames, looked.milliseconds / 1000


def _failed(name: str, why: str) -> PermanentError:
    return PermanentError(f"output {name} was made, but is not what it should be: {why}")
