"""What a task of type `video` may ask for, field by field, with all limits that no setting changes. What fits together, rules.py says."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from dtqs.processors.base import Payload, Source
from dtqs.processors.outputs import OUTPUTS_LIMIT, check_some

SIDE_LIMIT, RENDITIONS_LIMIT = 16384, 10
SECONDS_LIMIT = 7 * 86400.0
_USUAL_SIZES = "1080, 720, 480, 360 and 240, none larger than the film"
LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

Format = Literal[
    "mp4", "webm", "hls", "aac", "m4a", "mp3", "opus", "ogg", "poster", "jpeg", "png", "sprite", "gif", "webp"
]
VideoCodec = Literal["h264", "hevc", "av1", "vp9"]
AudioCodec = Literal["aac", "opus", "mp3"]
Fit = Literal["contain", "cover", "pad", "stretch"]
Speed = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
Position = Literal[
    "top-left", "top", "top-right", "left", "centre", "center", "right", "bottom-left", "bottom", "bottom-right"
]
Side = Annotated[int, Field(ge=2, le=SIDE_LIMIT)]
Seconds = Annotated[float, Field(ge=0, le=SECONDS_LIMIT)]
BitRate = Annotated[int, Field(ge=8_000, le=500_000_000)]


class VideoCrop(Payload):
    """A part of the picture, in pixels of the picture as it is shown."""

    x: int = Field(ge=0, le=SIDE_LIMIT, description="pixels from the left")
    y: int = Field(ge=0, le=SIDE_LIMIT, description="pixels from the top")
    width: Side = Field(description="pixels")
    height: Side = Field(description="pixels")


class VideoWatermark(Payload):
    """A picture over the film."""

    source: Source
    position: Position = Field(default="bottom-right", description="where it stands")
    width_fraction: float = Field(default=0.15, gt=0, le=1, description="its width as a part of the film's")
    margin: int = Field(default=16, ge=0, le=SIDE_LIMIT, description="pixels between it and the edges")
    opacity: float = Field(default=1.0, gt=0, le=1, description="1: as it is; 0.5: half transparent")


class Subtitles(Payload):
    """Text under the film."""

    source: Source | None = Field(
        default=None, description="a SubRip (.srt), WebVTT or ASS file; left out: a text track of the film itself"
    )
    track: int = Field(
        default=0, ge=0, le=999, description="without a source: which of the film's subtitle tracks, counted from 0"
    )
    mode: Literal["burn", "carry"] = Field(
        default="burn", description="burn: into the picture; carry: as a track that a player can switch on"
    )
    language: str = Field(
        default="und",
        pattern=LANGUAGE,
        max_length=35,
        description="the track's language, as `en`, `deu` or `pt-BR`",
    )
    title: str = Field(
        default="Subtitles",
        pattern=r'^[^"\x00-\x1f\x7f]+$',
        max_length=100,
        description="what a player calls the track in a stream, without quotation marks and control characters",
    )


class Rendition(Payload):
    """One size of a stream."""

    short_side: Side = Field(
        description="pixels of the shorter side: 720 makes 720p, upright films too; larger than the film: left away"
    )
    video_bit_rate: BitRate | None = Field(
        default=None, description="bits per second; left out: constant quality below max_bit_rate"
    )
    max_bit_rate: BitRate | None = Field(default=None, description="most bits per second; left out: by the size")
    crf: int | None = Field(default=None, ge=0, le=63, description="constant quality; left out: the output's")


class Fields(Payload):
    """What an output, or a preset, may say. Left out: the preset's value, else the type's own."""

    format: Format | None = Field(
        default=None,
        description="films: mp4, webm, hls; sound: aac (m4a), mp3, opus (ogg); pictures: poster (jpeg), png, sprite, and, moving, gif, webp; left out: mp4",
    )
    start_seconds: Seconds | None = Field(default=None, description="begin here in the film")
    end_seconds: Seconds | None = Field(default=None, description="end here in the film")
    width: Side | None = Field(default=None, description="pixels; left out: by the height and the film's proportions")
    height: Side | None = Field(default=None, description="pixels; left out: by the width and the film's proportions")
    short_side: Side | None = Field(
        default=None, description="instead of width and height: pixels of the shorter side, whichever that is"
    )
    fit: Fit | None = Field(
        default=None,
        description="contain: whole, inside the box; cover: fill it, cut off the rest; pad: whole, with bars; stretch: lose the proportions",
    )
    background: str | None = Field(
        default=None,
        pattern=r"^#[0-9A-Fa-f]{6}$",
        description="colour of the bars and behind what is transparent, as #rrggbb; left out: black; png, gif, webp and vp9 stay transparent",
    )
    enlarge: bool | None = Field(default=None, description="true: larger than the film, too")
    crop: VideoCrop | None = Field(default=None, description="take this part of the picture, before it is scaled")
    fps: float | None = Field(default=None, gt=0, le=240, description="pictures per second; left out: the film's")
    deinterlace: bool | None = Field(default=None, description="true: make whole pictures of interlaced ones")
    video_codec: VideoCodec | None = Field(default=None, description="left out: h264; in webm vp9")
    crf: int | None = Field(
        default=None,
        ge=0,
        le=63,
        description="constant quality, less is better: h264 and hevc to 51, vp9 and av1 to 63",
    )
    video_bit_rate: BitRate | None = Field(default=None, description="bits per second, instead of crf")
    max_bit_rate: BitRate | None = Field(default=None, description="most bits per second")
    two_pass: bool | None = Field(
        default=None, description="true: look at the film once before, so that a bit rate is spent where it is needed"
    )
    max_bytes: int | None = Field(
        default=None,
        ge=1_000,
        le=1 << 40,
        description="the whole file has at most so many bytes; instead of crf and bit rates",
    )
    speed: Speed | None = Field(
        default=None, description="of the encoder: slower makes smaller files; left out: medium"
    )
    keyframe_seconds: float | None = Field(
        default=None,
        gt=0,
        le=60,
        description="a picture to jump to every so many seconds; left out: the encoder's choice",
    )
    mute: bool | None = Field(default=None, description="true: no sound")
    audio_codec: AudioCodec | None = Field(default=None, description="left out: aac; in webm opus")
    audio_bit_rate: BitRate | None = Field(
        default=None, description="bits per second; left out: 64000 a channel, of opus 48000"
    )
    audio_channels: int | None = Field(default=None, ge=1, le=8, description="left out: the film's, 2 at most")
    audio_sample_rate: Literal[8000, 12000, 16000, 22050, 24000, 32000, 44100, 48000] | None = Field(
        default=None, description="samples per second; left out: the film's where that is 44100 or 48000, else 48000"
    )
    video_track: int | None = Field(
        default=None,
        ge=0,
        le=999,
        description="which of the film's picture tracks, counted from 0; left out: the default, else the largest",
    )
    audio_track: int | None = Field(
        default=None,
        ge=0,
        le=999,
        description="which of the film's audio tracks, counted from 0; left out: its default",
    )
    audio_language: str | None = Field(
        default=None,
        pattern=LANGUAGE,
        max_length=35,
        description="instead of audio_track: the film's audio track in this language, as `en`, `deu` or `pt-BR`",
    )
    loudness_lufs: float | None = Field(
        default=None, ge=-70, le=-5, description="bring the sound to this loudness (EBU R128): -16 for podcasts, say"
    )
    faststart: bool | None = Field(
        default=None,
        description="false: the index at the end of an mp4, which then cannot be played before it is whole",
    )
    keep_metadata: bool | None = Field(default=None, description="true: keep title, date, place and chapters")
    watermark: VideoWatermark | None = Field(default=None, description="a picture over the film")
    subtitles: Subtitles | None = Field(default=None, description="text under the film")
    renditions: (
        Annotated[
            tuple[Rendition, ...], Field(strict=False, max_length=RENDITIONS_LIMIT, json_schema_extra={"minItems": 1})
        ]
        | None
    ) = Field(default=None, description=f"of hls: the sizes; left out: {_USUAL_SIZES}")
    segment_seconds: float | None = Field(
        default=None, ge=1, le=60, description="of hls: length of a segment; left out: 6"
    )
    at_seconds: Seconds | None = Field(
        default=None, description="of poster, jpeg and png: the picture there; left out: one that looks typical"
    )
    quality: int | None = Field(
        default=None, ge=1, le=100, description="of pictures: 1 to 100; left out: 82, of webp 75"
    )
    interval_seconds: float | None = Field(
        default=None, ge=0.1, le=3600, description="of a sprite: seconds between its pictures; left out: 100 of them"
    )
    columns: int | None = Field(default=None, ge=1, le=100, description="of a sprite: pictures in a row; left out: 10")
    rows: int | None = Field(default=None, ge=1, le=100, description="of a sprite: rows of a sheet; left out: 10")
    loop: bool | None = Field(default=None, description="of gif and webp: false: play once")

    @field_validator("renditions")
    @classmethod
    def _there_are_sizes(cls, renditions: tuple[Rendition, ...] | None) -> Sequence[Rendition] | None:
        return renditions if renditions is None else check_some(renditions, _USUAL_SIZES)


class VideoOutput(Fields):
    """One thing to make."""

    name: str = Field(
        pattern=NAME,
        max_length=100,
        description="letters, digits, dots, _ and -, a letter or digit first; different from the others",
    )
    preset: str | None = Field(
        default=None, max_length=100, description="what is left out here, this preset says: web-720p, hls-adaptive, …"
    )


USUAL = (VideoOutput(name="web", preset="web-720p"), VideoOutput(name="poster", preset="poster"))
"""The outputs of a task that names none."""
USUAL_OF_SOUND = (VideoOutput(name="sound", format="aac"), VideoOutput(name="poster", format="poster"))
"""The same of a source without a film; the poster is its cover, if it has one."""


class VideoPayload(Payload):
    """A film, and what to make of it."""

    source: Source
    outputs: tuple[VideoOutput, ...] = Field(
        default=USUAL,
        max_length=OUTPUTS_LIMIT,
        strict=False,
        json_schema_extra={"minItems": 1},
        description="left out: an mp4 of 720p and a poster; of sound alone: an m4a, and its cover",
    )

    @field_validator("outputs")
    @classmethod
    def _there_are_some(cls, outputs: tuple[VideoOutput, ...]) -> Sequence[VideoOutput]:
        return check_some(outputs, "an mp4 and a poster")
