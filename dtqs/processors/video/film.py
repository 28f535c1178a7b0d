"""What ffprobe says of a file, as values: a film, its picture and its sound. Read with suspicion: the file says what its maker wanted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import orjson

from dtqs.errors import PermanentError
from dtqs.processors.video import colour
from dtqs.processors.video.colour import BT709, Colour

_UNMEASURED = frozenset({"aac", "mp3", "amr"})
"""Demuxers that reckon a duration from the size and the first bit rate."""
_FASTEST = 240
_LARGEST, _NAME_CHARACTERS = 1 << 63, 64
_EDGES = 256
"""Twice of what ffmpeg's decoders have been seen to add to a side."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A video stream; width and height are as people see it: turned, and with square pixels.

    `end_seconds` is by the file's clock; `packets`: as many as the index says, where it says so; `rates`: what is likely to be
    its number of pictures per second, exactly.
    """

    index: int
    codec: str
    width: int
    height: int
    coded: tuple[int, int]
    fps: float | None
    rotation: int
    bit_rate: int | None
    duration_seconds: float | None
    colour: Colour = BT709
    has_matrix: bool = False
    is_default: bool = False
    end_seconds: float | None = None
    packets: int | None = None
    rates: tuple[Fraction, ...] = ()

    @property
    def turned(self) -> tuple[int, int]:
        """The size as it is stored, turned as people see it."""
        return self.coded[::-1] if self.rotation in (90, 270) else self.coded

    @property
    def decoder(self) -> str | None:
        """The decoder that must be named: ffmpeg's usual ones for VP8 and VP9 do not see what is transparent."""
        return {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(self.codec) if self.colour.has_alpha else None

    @property
    def pixels(self) -> int:
        """As many as the file says; what is shown may be stretched."""
        return self.coded[0] * self.coded[1]

    @property
    def decoded_pixels(self) -> int:
        """As many as a decoder may need room for: it works in blocks, with edges around.

        Edges are no more than the side itself, or a thin film would lift the limit many times over.
        """
        width, height = (side + min(side, _EDGES) for side in self.coded)
        return width * height


@dataclass(frozen=True, slots=True)
class Sound:
    """An audio stream; `end_seconds` is by the file's clock."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    bit_rate: int | None
    duration_seconds: float | None
    is_default: bool
    end_seconds: float | None = None
    packets: int | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class Film:
    """A file with a picture, with sounds, or with both."""

    picture: Picture | None
    sounds: tuple[Sound, ...]
    subtitles: tuple[tuple[int, str], ...]
    streams: int
    duration_seconds: float | None
    is_measured: bool
    bit_rate: int | None
    size_bytes: int
    cover: Picture | None = None
    pictures: tuple[Picture, ...] = ()
    unread: frozenset[str] = frozenset()
    """Codecs of tracks that may not be decoded."""
    start_seconds: float = 0.0
    """Where the file's clock begins."""
    said_seconds: float | None = None
    """The container's own figure, which counts tracks that nobody takes, such as subtitles."""

    @property
    def all_pictures(self) -> tuple[Picture, ...]:
        """Every track of pictures, the cover too."""
        return (*self.pictures, *([self.cover] if self.cover else []))

    def showing(self, picture: Picture | None) -> "Film":
        """Return the film with this track as its picture. Its length is that of the tracks that are taken, as the index says it."""
        ends = [*([picture.end_seconds] if picture else []), *(sound.end_seconds for sound in self.sounds)]
        seconds = max(end - self.start_seconds for end in ends if end) if ends and all(ends) else self.said_seconds
        return replace(self, picture=picture, duration_seconds=seconds or None)

    def facts(self) -> dict[str, Any]:
        """What a result says of a file, as far as it is known."""
        sound = self.sounds[0] if self.sounds else None
        facts: dict[str, Any] = {"duration_seconds": _rounded(self.duration_seconds), "bit_rate": self.bit_rate}
        if self.picture:
            picture = self.picture
            facts |= {
                "width": picture.width,
                "height": picture.height,
                "video_codec": picture.codec,
                "fps": _rounded(picture.fps),
            }
            facts |= {"video_bit_rate": picture.bit_rate}
        if sound:
            facts |= {
                "audio_codec": sound.codec,
                "audio_bit_rate": sound.bit_rate,
                "audio_channels": sound.channels,
                "audio_sample_rate": sound.sample_rate,
            }
        return {name: value for name, value in facts.items() if value is not None}


def read(answer: bytes, demuxer: str, size_bytes: int) -> Film:
    """Read ffprobe's JSON. Raises PermanentError where there is neither picture nor sound."""
    try:
        return _film(orjson.loads(answer.decode("utf-8", "replace")), demuxer, size_bytes)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # of another shape than its own, it comes from a taken-over ffprobe
        raise PermanentError("ffprobe says nothing that can be understood of this file") from error


def _film(said: Mapping[str, Any], demuxer: str, size_bytes: int) -> Film:
    whole = said.get("format", {})
    streams = [stream for stream in said.get("streams", ()) if isinstance(stream, dict)]
    moving = [stream for stream in streams if stream.get("codec_type") == "video"]
    pictures = [_picture(stream) for stream in moving if not _disposition(stream, "attached_pic")]
    covers = [_picture(stream) for stream in moving if _disposition(stream, "attached_pic")]
    sounds = tuple(_sound(stream) for stream in streams if stream.get("codec_type") == "audio")
    if not pictures and not sounds:
        raise PermanentError("there is neither picture nor sound in the file")
    subtitles = tuple((_index(stream), _codec(stream)) for stream in streams if stream.get("codec_type") == "subtitle")
    start, said_seconds = signed(whole.get("start_time")) or 0.0, number(whole.get("duration"))
    measured, rate, cover = (
        demuxer not in _UNMEASURED,
        whole_number(whole.get("bit_rate")),
        covers[0] if covers else None,
    )
    film = Film(
        None,
        sounds,
        subtitles,
        len(streams),
        None,
        measured,
        rate,
        size_bytes,
        cover,
        tuple(pictures),
        start_seconds=start,
        said_seconds=said_seconds,
    )
    return film.showing(chosen(pictures))


def chosen(pictures: Sequence[Picture]) -> Picture | None:
    """Return the default track, of several the largest: cameras put a small preview first."""
    marked = [picture for picture in pictures if picture.is_default] or pictures
    return max(marked, key=lambda picture: picture.pixels, default=None)


def number(text: object) -> float | None:
    """Return a finite number that is not negative; None for anything else."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def signed(text: object) -> float | None:
    """Return a finite number; None for anything else."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole_number(text: object) -> int | None:
    """Return a whole number from 1 to what 63 bits hold; None for anything else."""
    value = number(text)
    return int(value) if value and value < _LARGEST else None


def _picture(stream: Mapping[str, Any]) -> Picture:
    width, height = whole_number(stream.get("width")) or 0, whole_number(stream.get("height")) or 0
    rotation = _rotation(stream)
    shown_width = max(1, round(width * (_ratio(stream.get("sample_aspect_ratio"), ":") or 1)))
    shown = (height, shown_width) if rotation in (90, 270) else (shown_width, height)
    fps = _ratio(stream.get("avg_frame_rate"), "/") or _ratio(stream.get("r_frame_rate"), "/")
    rate = whole_number(stream.get("bit_rate"))
    rates = tuple(
        dict.fromkeys(filter(None, (_fraction(stream.get(name)) for name in ("r_frame_rate", "avg_frame_rate"))))
    )
    index, codec, duration, packets = (
        _index(stream),
        _codec(stream),
        _duration(stream),
        whole_number(stream.get("nb_frames")),
    )
    return Picture(
        index, codec, *shown, (width, height), fps, rotation, rate, duration,
        colour=colour.read(stream), has_matrix=_has_matrix(stream), is_default=_disposition(stream, "default"),
        end_seconds=_end(stream), packets=packets, rates=rates,
    )  # fmt: skip


def _sound(stream: Mapping[str, Any]) -> Sound:
    codec, channels = _codec(stream), whole_number(stream.get("channels")) or 1
    sample_rate, rate = whole_number(stream.get("sample_rate")) or 48000, whole_number(stream.get("bit_rate"))
    duration, end, packets = _duration(stream), _end(stream), whole_number(stream.get("nb_frames"))
    default, language = _disposition(stream, "default"), str(stream.get("tags", {}).get("language", ""))
    return Sound(_index(stream), codec, channels, sample_rate, rate, duration, default, end, packets, language)


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
    """Degrees in quarters, clockwise; ffprobe counts the other way round."""
    turns = [
        side.get("rotation")
        for side in stream.get("side_data_list", ())
        if isinstance(side, dict) and "rotation" in side
    ]
    return (
        round(-float(turns[0]) / 90) * 90 % 360
        if turns and isinstance(turns[0], int | float) and math.isfinite(turns[0])
        else 0
    )


def _has_matrix(stream: Mapping[str, Any]) -> bool:
    """Tell whether ffmpeg turns or mirrors the pictures before our filters see them."""
    return any("displaymatrix" in side for side in stream.get("side_data_list", ()) if isinstance(side, dict))


def _duration(stream: Mapping[str, Any]) -> float | None:
    return tagged if (tagged := _tagged(stream)) is not None else number(stream.get("duration"))


def _tagged(stream: Mapping[str, Any]) -> float | None:
    """Seconds by Matroska's tag, as hours, minutes and seconds; as the duration of such a file's first track ffprobe tells the whole file's."""
    parts = [number(part) for part in str(stream.get("tags", {}).get("DURATION", "")).split(":")]
    if len(parts) != 3 or None in parts:
        return None
    return number(sum((part or 0.0) * unit for part, unit in zip(parts, (3600, 60, 1), strict=True)))


def _end(stream: Mapping[str, Any]) -> float | None:
    """Seconds by the file's clock; Matroska's tag is the end already, and other containers say a length."""
    if (tagged := _tagged(stream)) is not None:
        return tagged
    seconds = number(stream.get("duration"))
    return seconds + (signed(stream.get("start_time")) or 0.0) if seconds else None


def _fraction(text: object) -> Fraction | None:
    """Return what is likely to be a rate of pictures."""
    above, _, below = str(text).partition("/")
    if not above.isdigit() or not below.isdigit() or not int(above) or not int(below):
        return None
    rate = Fraction(int(above), int(below))
    return rate if 1 <= rate <= _FASTEST else None


def _ratio(text: object, sign: str) -> float | None:
    above, _, below = str(text).partition(sign)
    one, other = number(above), number(below)
    return number(one / other) if one and other else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
