"""What may be done to a picture on its way to an output, as payloads say it; all limits that no setting changes."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from dtqs.processors.base import Payload, Source

SIDE_LIMIT = 65535
Place = Literal[
    "centre", "center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right"
]
Gravity = Literal[Place, "smart"]
GRAVITIES = "centre, an edge (top, left, …), a corner (top-left, …), or smart: where the picture has most to show"
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]


class ImageCrop(Payload):
    """The part of the source, as it is shown, that everything else is done to."""

    unit: Literal["pixels", "percent"] = Field(
        default="pixels", description="pixels of the source, or percent of its width and height"
    )
    width: float = Field(gt=0, le=SIDE_LIMIT, description="in the unit; what lies outside the picture is left out")
    height: float = Field(gt=0, le=SIDE_LIMIT, description="in the unit; what lies outside the picture is left out")
    left: float | None = Field(
        default=None, ge=0, le=SIDE_LIMIT, description="from the left edge, in the unit; left out: by the gravity"
    )
    top: float | None = Field(
        default=None, ge=0, le=SIDE_LIMIT, description="from the upper edge, in the unit; left out: by the gravity"
    )
    gravity: Gravity | None = Field(
        default=None, description=f"which part, instead of left and top: {GRAVITIES}; left out: centre"
    )

    @field_validator("gravity")
    @classmethod
    def _one_place(cls, gravity: str | None, info: ValidationInfo) -> str | None:
        if gravity is not None and (info.data.get("left") is not None or info.data.get("top") is not None):
            raise ValueError("not together with left or top; allowed: either")
        return gravity

    @field_validator("width", "height", "left", "top")
    @classmethod
    def _part_of_the_whole(cls, value: float | None, info: ValidationInfo) -> float | None:
        if info.data.get("unit") == "percent" and (value or 0) > 100:
            raise ValueError("more than 100 percent; allowed with this unit: up to 100")
        return value


class ImageWatermark(Payload):
    """A picture or a text over the output."""

    source: Source | None = Field(default=None, description="a picture, by URI; or else text")
    text: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        validate_default=True,
        description="Latin letters, digits and signs, in lines if it has line breaks; or else source",
    )
    color: Colour = Field(default="#ffffff", description="of the text, as #rrggbb")
    position: Place = Field(default="bottom-right", description="centre, an edge or a corner")
    opacity: float = Field(default=0.5, ge=0, le=1, description="from 0, invisible, to 1")
    scale: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="its width as a part of the output's; a height above the output's makes it smaller",
    )
    margin: int = Field(default=8, ge=0, le=SIDE_LIMIT, description="pixels to the edges, or between tiles")
    tile: bool = Field(default=False, description="true: all over the picture, from the upper left corner")

    @field_validator("text")
    @classmethod
    def _one_of_two(cls, text: str | None, info: ValidationInfo) -> str | None:
        if "source" in info.data and (text is None) == (info.data["source"] is None):
            raise ValueError(
                "either text or source must be given" if text is None else "not together with source; allowed: either"
            )
        return text


class Border(Payload):
    """A frame, drawn inside the edges: the output keeps its size."""

    width: int = Field(default=1, ge=1, le=1000, description="pixels")
    color: Colour = Field(default="#000000", description="as #rrggbb")
