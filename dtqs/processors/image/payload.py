"""What a task of type `image` may ask for. The operations that have fields of their own are in operations.py."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from dtqs.processors.base import Payload, Source
from dtqs.processors.image.operations import GRAVITIES, SIDE_LIMIT, Border, Colour, Gravity, ImageCrop, ImageWatermark
from dtqs.processors.outputs import OUTPUTS_LIMIT, check_some

Format = Literal["auto", "jpeg", "png", "webp", "gif", "tiff", "avif"]
Fit = Literal["contain", "cover", "stretch", "pad"]
ANIMATED_FORMATS = frozenset({"gif", "webp", "png", "avif"})
_LOSSY = "jpeg, webp and avif"


class ImageOutput(Payload):
    """One picture to make. The operations are done in the order of these fields."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=100,
        description="letters, digits, dots, _ and -, a letter or digit first; different from the others",
    )
    page: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="page of a document or frame of an animation, from 1; left out: the first, or all frames",
    )
    animated: bool = Field(
        default=True,
        description="false: an animation becomes its first frame; true: it stays one, where the format can",
    )
    crop: ImageCrop | None = Field(default=None, description="the part of the source that is used")
    width: int | None = Field(
        default=None, ge=1, le=SIDE_LIMIT, description="pixels; left out: by the height and the source's proportions"
    )
    height: int | None = Field(
        default=None, ge=1, le=SIDE_LIMIT, description="pixels; left out: by the width and the source's proportions"
    )
    fit: Fit = Field(
        default="contain",
        description="contain: whole, inside the box; cover: fill the box, cut off the rest; stretch: fill it; pad: whole, the rest of the box filled",
    )
    gravity: Gravity = Field(
        default="centre", description=f"what cover keeps, or where pad puts the picture: {GRAVITIES}"
    )
    enlarge: bool = Field(
        default=False,
        description="true: larger than the source, too; else the box shrinks, in its proportions, until nothing is enlarged",
    )
    pad_with: str | None = Field(
        default=None,
        pattern=r"^(blur|#[0-9A-Fa-f]{6})$",
        description="blur (the picture itself, out of focus) or #rrggbb; left out: as background",
    )
    rotate: float = Field(
        default=0, ge=-360, le=360, description="degrees clockwise; the corners that appear are as background"
    )
    flip: Literal["horizontal", "vertical", "both"] | None = Field(
        default=None, description="horizontal: left becomes right; vertical: top becomes bottom"
    )
    blur: float = Field(default=0, ge=0, le=250, description="pixels: radius of a Gaussian")
    sharpen: float = Field(default=0, ge=0, le=10, description="0 to 10; 1 is plain to see")
    grayscale: bool = False
    brightness: float = Field(default=1, ge=0, le=10, description="factor; 1 leaves it as it is")
    contrast: float = Field(default=1, ge=0, le=10, description="factor; 1 leaves it as it is")
    saturation: float = Field(default=1, ge=0, le=10, description="factor; 1 leaves it as it is, 0 is gray")
    background: Colour | None = Field(
        default=None,
        description="colour behind transparent parts, as #rrggbb; left out: transparent, or white where the format cannot",
    )
    corner_radius: int = Field(
        default=0,
        ge=0,
        le=SIDE_LIMIT,
        description="pixels; half of the shorter side at most, which makes a square a circle",
    )
    watermark: ImageWatermark | None = None
    border: Border | None = None
    format: Format = Field(
        default="auto",
        description="auto: by content: webp for animations and photographs with transparent parts, png for few colours, else jpeg",
    )
    quality: int | None = Field(
        default=None, ge=1, le=100, description=f"1 to 100, of {_LOSSY}; the others lose nothing"
    )
    max_bytes: int | None = Field(
        default=None,
        ge=100,
        le=1 << 32,
        description=f"the quality is lowered until the file fits, of {_LOSSY}; the others fit or fail",
    )
    lossless: bool = Field(default=False, description="true: a webp that loses nothing")
    progressive: bool = Field(default=True, description="of jpeg: comes into view as a whole, and is smaller")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] | None = Field(
        default=None, description="of the colours of jpeg and avif: 4:4:4 for texts and drawings; left out: 4:2:0"
    )
    colors: int | None = Field(
        default=None, ge=2, le=256, description="of png and gif: a palette of so many; left out: all, or 256 in a gif"
    )
    keep_metadata: bool = Field(
        default=False, description="true: keep EXIF and XMP, with the place where it was taken, if it is in there"
    )
    keep_profile: bool = Field(
        default=False,
        description="true: keep the colours and the profile of the source; else, and in a gif, they become sRGB",
    )

    @field_validator("pad_with")
    @classmethod
    def _needs_a_box(cls, pad_with: str | None, info: ValidationInfo) -> str | None:
        if pad_with is not None and info.data.get("fit", "pad") != "pad":
            raise ValueError("only with fit pad")
        return pad_with

    @field_validator("lossless")
    @classmethod
    def _of_webp(cls, lossless: bool, info: ValidationInfo) -> bool:
        if lossless and info.data.get("format", "webp") != "webp":
            raise ValueError("only with format webp")
        return lossless


THUMBNAILS = tuple(ImageOutput(name=f"thumb-{side}", width=side, height=side) for side in (160, 480, 1280))
"""The outputs of a task that names none."""


class ImagePayload(Payload):
    """A picture, and what to make of it."""

    source: Source
    outputs: tuple[ImageOutput, ...] = Field(
        default=THUMBNAILS,
        max_length=OUTPUTS_LIMIT,
        strict=False,
        json_schema_extra={"minItems": 1},
        description="left out: three thumbnails, inside 160, 480 and 1280 pixels",
    )

    @field_validator("outputs")
    @classmethod
    def _there_are_some(cls, outputs: tuple[ImageOutput, ...]) -> Sequence[ImageOutput]:
        return check_some(outputs, "three thumbnails")

    def source_uris(self) -> tuple[str, ...]:
        """Return every picture that is named, each once, the source first."""
        marks = (output.watermark.source for output in self.outputs if output.watermark and output.watermark.source)
        return tuple(dict.fromkeys((self.source, *marks)))
