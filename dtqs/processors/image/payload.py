"""The payload of a task of type `image`. Operations with fields of their own are in operations.py."""

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
    """One image to make. The operations are applied in the order of these fields."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=100,
        description="letters, digits, dots, _ and -, starting with a letter or digit; unique among the outputs",
    )
    page: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="page of a document or frame of an animation, from 1; left out: the first, or all frames",
    )
    animated: bool = Field(
        default=True,
        description="false: an animation becomes its first frame; true: it stays animated if the format can",
    )
    crop: ImageCrop | None = Field(default=None, description="the part of the source to use")
    width: int | None = Field(
        default=None, ge=1, le=SIDE_LIMIT, description="pixels; left out: from the height, keeping the proportions"
    )
    height: int | None = Field(
        default=None, ge=1, le=SIDE_LIMIT, description="pixels; left out: from the width, keeping the proportions"
    )
    fit: Fit = Field(
        default="contain",
        description="contain: the whole image inside the box; cover: fill the box and cut off the rest; "
        "stretch: fill the box by distorting; pad: the whole image, the rest of the box filled",
    )
    gravity: Gravity = Field(
        default="centre", description=f"area that cover keeps, or position of the image with pad: {GRAVITIES}"
    )
    enlarge: bool = Field(
        default=False,
        description="true: may exceed the source's size; "
        "false: the box shrinks in proportion until nothing is enlarged",
    )
    pad_with: str | None = Field(
        default=None,
        pattern=r"^(blur|#[0-9A-Fa-f]{6})$",
        description="blur (the blurred image itself) or #rrggbb; left out: the background",
    )
    rotate: float = Field(default=0, ge=-360, le=360, description="degrees clockwise; new corners get the background")
    flip: Literal["horizontal", "vertical", "both"] | None = Field(
        default=None, description="horizontal: left becomes right; vertical: top becomes bottom"
    )
    blur: float = Field(default=0, ge=0, le=250, description="radius of a Gaussian blur in pixels")
    sharpen: float = Field(default=0, ge=0, le=10, description="0 to 10; 1 is clearly visible")
    grayscale: bool = False
    brightness: float = Field(default=1, ge=0, le=10, description="factor; 1 changes nothing")
    contrast: float = Field(default=1, ge=0, le=10, description="factor; 1 changes nothing")
    saturation: float = Field(default=1, ge=0, le=10, description="factor; 1 changes nothing, 0 is gray")
    background: Colour | None = Field(
        default=None,
        description="colour behind transparent parts, as #rrggbb; "
        "left out: transparent, or white if the format has no transparency",
    )
    corner_radius: int = Field(
        default=0,
        ge=0,
        le=SIDE_LIMIT,
        description="pixels; at most half of the shorter side, which makes a square a circle",
    )
    watermark: ImageWatermark | None = None
    border: Border | None = None
    format: Format = Field(
        default="auto",
        description="auto: by content: webp for animations and for photographs with transparent parts, "
        "png for few colours, otherwise jpeg",
    )
    quality: int | None = Field(
        default=None, ge=1, le=100, description=f"1 to 100, for {_LOSSY}; the others are lossless"
    )
    max_bytes: int | None = Field(
        default=None,
        ge=100,
        le=1 << 32,
        description=f"limit of the file's size: {_LOSSY} lower the quality until it fits, the others fit or fail",
    )
    lossless: bool = Field(default=False, description="true: a lossless webp")
    progressive: bool = Field(default=True, description="jpeg: loads as a whole at once, and is smaller")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] | None = Field(
        default=None, description="colours of jpeg and avif: 4:4:4 for texts and drawings; left out: 4:2:0"
    )
    colors: int | None = Field(
        default=None,
        ge=2,
        le=256,
        description="png and gif: number of colours in the palette; left out: all, or 256 in a gif",
    )
    keep_metadata: bool = Field(
        default=False, description="true: keep EXIF and XMP, including the place of a photograph"
    )
    keep_profile: bool = Field(
        default=False,
        description="true: keep the colours and the profile of the source; false, or in a gif: convert to sRGB",
    )

    @field_validator("pad_with")
    @classmethod
    def _needs_a_box(cls, pad_with: str | None, info: ValidationInfo) -> str | None:
        if pad_with is not None and info.data.get("fit", "pad") != "pad":
            raise ValueError("allowed only with fit pad")
        return pad_with

    @field_validator("lossless")
    @classmethod
    def _of_webp(cls, lossless: bool, info: ValidationInfo) -> bool:
        if lossless and info.data.get("format", "webp") != "webp":
            raise ValueError("allowed only with format webp")
        return lossless


THUMBNAILS = tuple(ImageOutput(name=f"thumb-{side}", width=side, height=side) for side in (160, 480, 1280))
"""The outputs of a task without outputs."""


class ImagePayload(Payload):
    """A source, and the images to make from it."""

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
        """Return the URIs of all images in the payload, each once, the source first."""
        marks = (output.watermark.source for output in self.outputs if output.watermark and output.watermark.source)
        return tuple(dict.fromkeys((self.source, *marks)))
