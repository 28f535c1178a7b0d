"""Operations on an image, as payloads give them, with all limits that do not depend on the settings."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from dtqs.processors.base import Payload, Source

SIDE_LIMIT = 65535
Place = Literal[
    "centre", "center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right"
]
Gravity = Literal[Place, "smart"]
GRAVITIES = "centre, an edge (top, left, …), a corner (top-left, …), or smart: the most interesting area"
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]


class ImageCrop(Payload):
    """The part of the upright source that all other operations use."""

    unit: Literal["pixels", "percent"] = Field(
        default="pixels", description="pixels of the source, or percent of its width and height"
    )
    width: float = Field(gt=0, le=SIDE_LIMIT, description="in the unit; anything outside the image is left out")
    height: float = Field(gt=0, le=SIDE_LIMIT, description="in the unit; anything outside the image is left out")
    left: float | None = Field(
        default=None, ge=0, le=SIDE_LIMIT, description="distance from the left edge, in the unit; left out: by gravity"
    )
    top: float | None = Field(
        default=None, ge=0, le=SIDE_LIMIT, description="distance from the upper edge, in the unit; left out: by gravity"
    )
    gravity: Gravity | None = Field(
        default=None, description=f"position instead of left and top: {GRAVITIES}; left out: centre"
    )

    @field_validator("gravity")
    @classmethod
    def _one_place(cls, gravity: str | None, info: ValidationInfo) -> str | None:
        if gravity is not None and (info.data.get("left") is not None or info.data.get("top") is not None):
            raise ValueError("not allowed together with left or top; allowed: one of the two")
        return gravity

    @field_validator("width", "height", "left", "top")
    @classmethod
    def _part_of_the_whole(cls, value: float | None, info: ValidationInfo) -> float | None:
        if info.data.get("unit") == "percent" and (value or 0) > 100:
            raise ValueError("more than 100 percent; allowed with this unit: up to 100")
        return value


class ImageWatermark(Payload):
    """An image or a text over the output."""

    source: Source | None = Field(default=None, description="URI of an image; alternative to text")
    text: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        validate_default=True,
        description="Latin letters, digits and signs, with line breaks for several lines; alternative to source",
    )
    color: Colour = Field(default="#ffffff", description="colour of the text, as #rrggbb")
    position: Place = Field(default="bottom-right", description="centre, an edge or a corner")
    opacity: float = Field(default=0.5, ge=0, le=1, description="from 0 (invisible) to 1")
    scale: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="width as a fraction of the output's; reduced if it would be higher than the output",
    )
    margin: int = Field(default=8, ge=0, le=SIDE_LIMIT, description="pixels to the edges, or between tiles")
    tile: bool = Field(default=False, description="true: repeat it over the image, from the upper left corner")

    @field_validator("text")
    @classmethod
    def _one_of_two(cls, text: str | None, info: ValidationInfo) -> str | None:
        if "source" in info.data and (text is None) == (info.data["source"] is None):
            raise ValueError(
                "either text or source must be given"
                if text is None
                else "not allowed together with source; allowed: one of the two"
            )
        return text


class Border(Payload):
    """A frame drawn inside the edges; the output keeps its size."""

    width: int = Field(default=1, ge=1, le=1000, description="pixels")
    color: Colour = Field(default="#000000", description="as #rrggbb")
