"""A source as values: its video tracks, audio tracks and subtitles, as ffprobe reports them; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from dtqs.processors.video.colour import BT709, Colour

_EDGES = 256
"""Twice the most that ffmpeg's decoders have been seen to add to a side."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A video track. Width and height are as displayed: rotated, and with square pixels.

    `end_seconds` is on the file's clock. `packets` is the count in the index, if there is one.
    `rates` are the likely frame rates, as exact fractions.
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
    is_dolby_vision_alone: bool = False
    """Only players of Dolby Vision show its colours."""

    @property
    def turned(self) -> tuple[int, int]:
        """The stored size, rotated for display."""
        return self.coded[::-1] if self.rotation in (90, 270) else self.coded

    @property
    def decoder(self) -> str | None:
        """The decoder to name explicitly: ffmpeg's default ones for VP8 and VP9 ignore transparency."""
        return {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(self.codec) if self.colour.has_alpha else None

    @property
    def pixels(self) -> int:
        """The pixels of a stored frame. The displayed frame may be stretched."""
        return self.coded[0] * self.coded[1]

    @property
    def decoded_pixels(self) -> int:
        """The most pixels that a decoder may allocate: it works in blocks and adds edges.

        An edge is never larger than the side itself. Otherwise a thin video would lift the limit many times over.
        """
        width, height = (side + min(side, _EDGES) for side in self.coded)
        return width * height


@dataclass(frozen=True, slots=True)
class Sound:
    """An audio track; `end_seconds` is on the file's clock."""

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
class Chapter:
    """A chapter, on the file's clock or on a part's."""

    begin_seconds: float
    end_seconds: float
    title: str


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A file with video, with audio, or with both."""

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
    """Codecs of the tracks that may not be decoded."""
    start_seconds: float = 0.0
    """The time at which the file's clock begins."""
    container_seconds: float | None = None
    """The container's own duration. It also counts tracks that no output uses, such as subtitles."""
    tags: Mapping[str, str] = field(default_factory=dict)
    chapters: tuple[Chapter, ...] = ()

    @property
    def all_pictures(self) -> tuple[Picture, ...]:
        """Every video track, and the cover."""
        return (*self.pictures, *([self.cover] if self.cover else []))

    def showing(self, picture: Picture | None) -> "VideoInfo":
        """Return this file with another video track selected, and the duration of the tracks that are then in use."""
        ends = [*([picture.end_seconds] if picture else []), *(sound.end_seconds for sound in self.sounds)]
        seconds = max(end - self.start_seconds for end in ends if end) if ends and all(ends) else self.container_seconds
        return replace(self, picture=picture, duration_seconds=seconds or None)

    def facts(self) -> dict[str, Any]:
        """Return the known properties of the file for a task's result."""
        sound = self.sounds[0] if self.sounds else None
        facts: dict[str, Any] = {"duration_seconds": _rounded(self.duration_seconds), "bit_rate": self.bit_rate}
        if self.picture:
            picture = self.picture
            facts |= {"width": picture.width, "height": picture.height} if picture.pixels else {}
            facts |= {"video_codec": picture.codec, "fps": _rounded(picture.fps)}
            facts |= {"video_bit_rate": picture.bit_rate}
        if sound:
            facts |= {
                "audio_codec": sound.codec,
                "audio_bit_rate": sound.bit_rate,
                "audio_channels": sound.channels,
                "audio_sample_rate": sound.sample_rate,
            }
        return {name: value for name, value in facts.items() if value is not None}


def default_picture(pictures: Sequence[Picture]) -> Picture | None:
    """Return the default track, or the largest of several: cameras put a small preview first.

    A track without a readable size is the last choice.
    """
    sized = [picture for picture in pictures if picture.pixels] or pictures
    marked = [picture for picture in sized if picture.is_default] or sized
    return max(marked, key=lambda picture: picture.pixels, default=None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
