"""Read ffprobe's JSON into a `VideoInfo`. A file's maker controls what ffprobe reports, so every value is checked."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from dtqs.errors import PermanentError
from dtqs.processors.video import colour
from dtqs.processors.video.figures import frame_rate, number, ratio, signed, whole_number
from dtqs.processors.video.video_info import Chapter, Picture, Sound, VideoInfo, default_picture

_UNMEASURED = frozenset({"aac", "mp3", "amr"})
"""Demuxers that estimate the duration from the size and the first bit rate."""
_NAME_CHARACTERS = 64
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors from an answer of the wrong shape, which only an ffprobe that a file has taken over prints."""


def read(answer: bytes, demuxer: str, size_bytes: int) -> VideoInfo:
    """Read ffprobe's JSON. Raises PermanentError if the file has neither video nor audio."""
    try:
        return _video_info(orjson.loads(answer.decode("utf-8", "replace")), demuxer, size_bytes)
    except _MALFORMED as error:
        raise PermanentError("ffprobe's report on this file cannot be read: the file is broken or hostile") from error


def _video_info(report: Mapping[str, Any], demuxer: str, size_bytes: int) -> VideoInfo:
    container = report.get("format", {})
    streams = [stream for stream in report.get("streams", ()) if isinstance(stream, dict)]
    moving = [stream for stream in streams if stream.get("codec_type") == "video"]
    pictures = [_picture(stream) for stream in moving if not _disposition(stream, "attached_pic")]
    covers = [_picture(stream) for stream in moving if _disposition(stream, "attached_pic")]
    sounds = tuple(_sound(stream) for stream in streams if stream.get("codec_type") == "audio")
    if not pictures and not sounds:
        raise PermanentError("the file has neither a video track nor an audio track")
    subtitles = tuple((_index(stream), _codec(stream)) for stream in streams if stream.get("codec_type") == "subtitle")
    info = VideoInfo(
        picture=None,
        sounds=sounds,
        subtitles=subtitles,
        streams=len(streams),
        duration_seconds=None,
        is_measured=demuxer not in _UNMEASURED,
        bit_rate=whole_number(container.get("bit_rate")),
        size_bytes=size_bytes,
        cover=covers[0] if covers else None,
        pictures=tuple(pictures),
        start_seconds=signed(container.get("start_time")) or 0.0,
        container_seconds=number(container.get("duration")),
        tags=_tags(container, streams if demuxer == "ogg" else ()),
        chapters=tuple(_chapters(report)),
    )
    return info.showing(default_picture(pictures))


def _tags(container: Mapping[str, Any], streams: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the tags of the file. Ogg has them in its tracks."""
    found: dict[str, str] = {}
    for part in (container, *streams):
        for name, value in part.get("tags", {}).items():
            found.setdefault(str(name), str(value))
    return found


def _chapters(report: Mapping[str, Any]) -> Iterator[Chapter]:
    for chapter in report.get("chapters", ()):
        begin, end = signed(chapter.get("start_time")), signed(chapter.get("end_time"))
        if begin is not None and end is not None:
            yield Chapter(begin, end, str(chapter.get("tags", {}).get("title", "")))


def _picture(stream: Mapping[str, Any]) -> Picture:
    width, height = whole_number(stream.get("width")) or 0, whole_number(stream.get("height")) or 0
    rotation = _rotation(stream)
    square_width = max(1, round(width * (ratio(stream.get("sample_aspect_ratio"), ":") or 1)))
    displayed = (height, square_width) if rotation in (90, 270) else (square_width, height)
    rates = (frame_rate(stream.get(name)) for name in ("r_frame_rate", "avg_frame_rate"))
    return Picture(
        index=_index(stream),
        codec=_codec(stream),
        width=displayed[0],
        height=displayed[1],
        coded=(width, height),
        fps=ratio(stream.get("avg_frame_rate"), "/") or ratio(stream.get("r_frame_rate"), "/"),
        rotation=rotation,
        bit_rate=whole_number(stream.get("bit_rate")),
        duration_seconds=_duration(stream),
        colour=colour.read(stream),
        has_matrix=_has_matrix(stream),
        is_default=_disposition(stream, "default"),
        end_seconds=_end(stream),
        packets=whole_number(stream.get("nb_frames")),
        rates=tuple(dict.fromkeys(filter(None, rates))),
        is_dolby_vision_alone=_is_dolby_vision_alone(stream),
    )


def _sound(stream: Mapping[str, Any]) -> Sound:
    return Sound(
        index=_index(stream),
        codec=_codec(stream),
        channels=whole_number(stream.get("channels")) or 1,
        sample_rate=whole_number(stream.get("sample_rate")) or 48000,
        bit_rate=whole_number(stream.get("bit_rate")),
        duration_seconds=_duration(stream),
        is_default=_disposition(stream, "default"),
        end_seconds=_end(stream),
        packets=whole_number(stream.get("nb_frames")),
        language=str(stream.get("tags", {}).get("language", "")),
    )


def _index(stream: Mapping[str, Any]) -> int:
    index = stream["index"]
    if not isinstance(index, int) or index < 0:
        raise ValueError(index)
    return index


def _codec(stream: Mapping[str, Any]) -> str:
    return str(stream.get("codec_name", "?"))[:_NAME_CHARACTERS]


def _disposition(stream: Mapping[str, Any], name: str) -> bool:
    return bool(stream.get("disposition", {}).get(name))


def _rotation(stream: Mapping[str, Any]) -> int:
    """Return the rotation in degrees clockwise, in quarter turns. ffprobe counts counterclockwise."""
    sides = (side for side in stream.get("side_data_list", ()) if isinstance(side, dict))
    turns = [side["rotation"] for side in sides if "rotation" in side]
    if not turns or not isinstance(turns[0], int | float) or not math.isfinite(turns[0]):
        return 0
    return round(-float(turns[0]) / 90) * 90 % 360


def _has_matrix(stream: Mapping[str, Any]) -> bool:
    """Tell whether ffmpeg rotates or mirrors the frames before our filters see them."""
    return any("displaymatrix" in side for side in stream.get("side_data_list", ()) if isinstance(side, dict))


def _is_dolby_vision_alone(stream: Mapping[str, Any]) -> bool:
    """Tell whether the frames have colours that only a player of Dolby Vision can convert."""
    sides = (side for side in stream.get("side_data_list", ()) if isinstance(side, dict))
    return any(
        side.get("side_data_type") == "DOVI configuration record" and side.get("dv_bl_signal_compatibility_id") == 0
        for side in sides
    )


def _duration(stream: Mapping[str, Any]) -> float | None:
    return tagged if (tagged := _tagged(stream)) is not None else number(stream.get("duration"))


def _tagged(stream: Mapping[str, Any]) -> float | None:
    """Return the seconds of Matroska's DURATION tag, written as hours, minutes and seconds.

    For the first track of such a file, ffprobe's own `duration` is the whole file's.
    """
    parts = [number(part) for part in str(stream.get("tags", {}).get("DURATION", "")).split(":")]
    if len(parts) != 3 or None in parts:
        return None
    return number(sum((part or 0.0) * unit for part, unit in zip(parts, (3600, 60, 1), strict=True)))


def _end(stream: Mapping[str, Any]) -> float | None:
    """Return the end on the file's clock. Matroska's tag is already the end; other containers store a length."""
    if (tagged := _tagged(stream)) is not None:
        return tagged
    seconds = number(stream.get("duration"))
    return seconds + (signed(stream.get("start_time")) or 0.0) if seconds else None
