"""The fields of a `video` task's payload, with the limits that no setting changes. `rules` checks combinations."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from dtqs.processors.base import Payload, Source
from dtqs.processors.outputs import OUTPUTS_LIMIT, check_some

SIDE_LIMIT, RENDITIONS_LIMIT = 16384, 10
SECONDS_LIMIT = 7 * 86400.0
_DEFAULT_SIZES = "1080, 720, 480, 360 and 240, none larger than the video"
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
    """A part of the frame, in pixels of the video as shown."""

    x: int = Field(ge=0, le=SIDE_LIMIT, description="pixels from the left")
    y: int = Field(ge=0, le=SIDE_LIMIT, description="pixels from the top")
    width: Side = Field(description="pixels")
    height: Side = Field(description="pixels")


class VideoWatermark(Payload):
    """An image over the video."""

    source: Source
    position: Position = Field(default="bottom-right", description="its corner or edge, or the centre")
    width_fraction: float = Field(default=0.15, gt=0, le=1, description="its width as a fraction of the video's")
    margin: int = Field(default=16, ge=0, le=SIDE_LIMIT, description="pixels between it and the edges")
    opacity: float = Field(default=1.0, gt=0, le=1, description="1: opaque; 0.5: half transparent")


class Subtitles(Payload):
    """Subtitles of the video."""

    source: Source | None = Field(
        default=None, description="a SubRip (.srt), WebVTT or ASS file; default: a text track of the video itself"
    )
    track: int = Field(
        default=0, ge=0, le=999, description="without a source: number of the video's subtitle track, from 0"
    )
    mode: Literal["burn", "carry"] = Field(
        default="burn", description="burn: drawn into the frames; carry: a track that a player can switch on"
    )
    language: str = Field(
        default="und",
        pattern=LANGUAGE,
        max_length=35,
        description="the track's language, such as `en`, `deu` or `pt-BR`",
    )
    title: str = Field(
        default="Subtitles",
        pattern=r'^[^"\x00-\x1f\x7f]+$',
        max_length=100,
        description="the track's name in players of a stream, without quotation marks and control characters",
    )


class Rendition(Payload):
    """One size of a stream."""

    short_side: Side = Field(
        description="pixels of the shorter side: 720 is 720p, for portrait videos too; skipped if larger than the video"
    )
    video_bit_rate: BitRate | None = Field(
        default=None, description="bits per second; default: constant quality below max_bit_rate"
    )
    max_bit_rate: BitRate | None = Field(default=None, description="most bits per second; default: by the size")
    crf: int | None = Field(default=None, ge=0, le=63, description="constant quality; default: the output's")


class Fields(Payload):
    """The fields of an output or a preset. The default is the preset's value, then the task type's."""

    format: Format | None = Field(
        default=None,
        description="videos: mp4, webm, hls; audio: aac (m4a), mp3, opus (ogg); images: poster (jpeg), png, sprite; "
        "moving previews: gif, webp; default: mp4",
    )
    start_seconds: Seconds | None = Field(default=None, description="begin at this time of the video")
    end_seconds: Seconds | None = Field(default=None, description="end at this time of the video")
    width: Side | None = Field(default=None, description="pixels; default: by the height and the proportions")
    height: Side | None = Field(default=None, description="pixels; default: by the width and the proportions")
    short_side: Side | None = Field(default=None, description="instead of width and height: pixels of the shorter side")
    fit: Fit | None = Field(
        default=None,
        description="contain: whole, inside the box; cover: fills the box and cuts off the rest; "
        "pad: whole, with bars; stretch: changes the proportions",
    )
    background: str | None = Field(
        default=None,
        pattern=r"^#[0-9A-Fa-f]{6}$",
        description="colour of bars and behind transparent parts, as #rrggbb; "
        "default: black, but png, gif, webp and vp9 stay transparent",
    )
    enlarge: bool | None = Field(default=None, description="true: the output may be larger than the video")
    crop: VideoCrop | None = Field(default=None, description="use this part of the frame, before scaling")
    fps: float | None = Field(
        default=None,
        ge=0.01,
        le=240,
        description="frames per second, from 0.01, gif to 50, webp to 90; default: the video's, gif and webp 10",
    )
    deinterlace: bool | None = Field(default=None, description="true: make whole frames of interlaced ones")
    video_codec: VideoCodec | None = Field(default=None, description="default: h264; in webm vp9")
    crf: int | None = Field(
        default=None,
        ge=0,
        le=63,
        description="constant quality, less is better: h264 and hevc to 51, vp9 and av1 to 63",
    )
    video_bit_rate: BitRate | None = Field(default=None, description="bits per second, instead of crf")
    max_bit_rate: BitRate | None = Field(default=None, description="most bits per second")
    two_pass: bool | None = Field(
        default=None, description="true: encode in two passes, which distributes a bit rate by need"
    )
    max_bytes: int | None = Field(
        default=None,
        ge=1_000,
        le=1 << 40,
        description="largest size of the whole file, instead of crf and bit rates",
    )
    speed: Speed | None = Field(default=None, description="of the encoder: slower makes smaller files; default: medium")
    keyframe_seconds: float | None = Field(
        default=None,
        gt=0,
        le=60,
        description="most seconds between key frames, which players can jump to; default: the encoder's choice",
    )
    mute: bool | None = Field(default=None, description="true: leave out the audio")
    audio_codec: AudioCodec | None = Field(default=None, description="default: aac; in webm opus")
    audio_bit_rate: BitRate | None = Field(
        default=None, description="bits per second; default: 64000 per channel, opus 48000"
    )
    audio_channels: int | None = Field(default=None, ge=1, le=8, description="default: the video's, 2 at most")
    audio_sample_rate: Literal[8000, 12000, 16000, 22050, 24000, 32000, 44100, 48000] | None = Field(
        default=None, description="samples per second; default: the video's if that is 44100 or 48000, else 48000"
    )
    video_track: int | None = Field(
        default=None,
        ge=0,
        le=999,
        description="number of the video track, from 0; default: the track marked as default, else the largest",
    )
    audio_track: int | None = Field(
        default=None,
        ge=0,
        le=999,
        description="number of the audio track, from 0; default: the track marked as default",
    )
    audio_language: str | None = Field(
        default=None,
        pattern=LANGUAGE,
        max_length=35,
        description="instead of audio_track: the audio track in this language, such as `en`, `deu` or `pt-BR`",
    )
    loudness_lufs: float | None = Field(
        default=None, ge=-70, le=-5, description="normalise to this loudness (EBU R128), such as -16 for podcasts"
    )
    faststart: bool | None = Field(
        default=None,
        description="false: put the index at the end of an mp4, so that it cannot play while it loads",
    )
    keep_metadata: bool | None = Field(
        default=None,
        description="true: keep title, date, place, and the chapters of the part",
    )
    watermark: VideoWatermark | None = Field(default=None, description="an image over the video")
    subtitles: Subtitles | None = Field(default=None, description="subtitles of the video")
    renditions: (
        Annotated[
            tuple[Rendition, ...], Field(strict=False, max_length=RENDITIONS_LIMIT, json_schema_extra={"minItems": 1})
        ]
        | None
    ) = Field(default=None, description=f"hls: the sizes; default: {_DEFAULT_SIZES}")
    segment_seconds: float | None = Field(default=None, ge=1, le=60, description="hls: length of a segment; default: 6")
    at_seconds: Seconds | None = Field(
        default=None, description="poster, jpeg and png: the frame shown at this time; default: a typical frame"
    )
    quality: int | None = Field(default=None, ge=1, le=100, description="images: 1 to 100; default: 82, webp 75")
    interval_seconds: float | None = Field(
        default=None,
        ge=0.1,
        le=3600,
        description="sprite: seconds between two images; default: such that there are 100",
    )
    columns: int | None = Field(default=None, ge=1, le=100, description="sprite: images in a row; default: 10")
    rows: int | None = Field(default=None, ge=1, le=100, description="sprite: rows of a sheet; default: 10")
    loop: bool | None = Field(default=None, description="gif and webp: false plays once")

    @field_validator("renditions")
    @classmethod
    def _there_are_sizes(cls, renditions: tuple[Rendition, ...] | None) -> Sequence[Rendition] | None:
        return renditions if renditions is None else check_some(renditions, _DEFAULT_SIZES)


class VideoOutput(Fields):
    """One requested output."""

    name: str = Field(
        pattern=NAME,
        max_length=100,
        description="letters, digits, dots, _ and -, a letter or digit first; unique among the outputs",
    )
    preset: str | None = Field(
        default=None,
        max_length=100,
        description="sets the fields that the output leaves out: web-720p, hls-adaptive, …",
    )


DEFAULT_OUTPUTS = (VideoOutput(name="web", preset="web-720p"), VideoOutput(name="poster", preset="poster"))
"""The outputs of a task without `outputs`."""
DEFAULT_AUDIO_OUTPUTS = (VideoOutput(name="sound", format="aac"), VideoOutput(name="poster", format="poster"))
"""The same for a source without video; the poster is its cover, if it has one."""


class VideoPayload(Payload):
    """A video, and the requested outputs."""

    source: Source
    outputs: tuple[VideoOutput, ...] = Field(
        default=DEFAULT_OUTPUTS,
        max_length=OUTPUTS_LIMIT,
        strict=False,
        json_schema_extra={"minItems": 1},
        description="default: an mp4 of 720p and a poster; for audio alone an m4a, and the cover",
    )

    @field_validator("outputs")
    @classmethod
    def _there_are_some(cls, outputs: tuple[VideoOutput, ...]) -> Sequence[VideoOutput]:
        return check_some(outputs, "an mp4 and a poster")
