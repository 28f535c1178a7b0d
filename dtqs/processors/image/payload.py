"""What a task of type `image` may ask for, with all limits that no setting changes."""

from typing import Literal

from pydantic import Field, field_validator

from dtqs.processors.base import Payload, Source

SIDE_LIMIT, OUTPUTS_LIMIT = 65535, 100
Format = Literal["auto", "jpeg", "png", "webp", "gif", "tiff", "avif"]
Fit = Literal["contain", "cover", "stretch"]


class ImageOutput(Payload):
    """One picture to make."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=100,
        description="letters, digits, dots, _ and -, a letter or digit first; different from the others",
    )
    width: int | None = Field(default=None, ge=1, le=SIDE_LIMIT, description="pixels; left out: by the height and the source's proportions")
    height: int | None = Field(default=None, ge=1, le=SIDE_LIMIT, description="pixels; left out: by the width and the source's proportions")
    fit: Fit = Field(
        default="contain", description="contain: whole, inside the box; cover: fill the box, cut off the rest; stretch: fill it, lose the proportions"
    )
    enlarge: bool = Field(default=False, description="true: larger than the source, too; else the box shrinks, in its proportions, until nothing is enlarged")
    format: Format = Field(default="auto", description="auto: jpeg, or png where the picture has transparent parts")
    quality: int | None = Field(default=None, ge=1, le=100, description="1 to 100, of jpeg, webp and avif; the others lose nothing")
    background: str | None = Field(
        default=None, pattern=r"^#[0-9A-Fa-f]{6}$", description="colour behind transparent parts, as #rrggbb; left out: transparent, or white in a jpeg"
    )
    keep_metadata: bool = Field(default=False, description="true: keep EXIF and XMP, with the place where it was taken, if it is in there")


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
    def _names_differ(cls, outputs: tuple[ImageOutput, ...]) -> tuple[ImageOutput, ...]:
        # not min_length: with that, an invalid only item is also told as one too few
        if not outputs:
            raise ValueError("at least one output is needed; left out: three thumbnails")
        seen: set[str] = set()
        for output in outputs:
            # a client that saves them side by side may be on a disk that ignores case
            if output.name.lower() in seen:
                raise ValueError(f"two outputs are named {output.name}; allowed: a name of its own for each, letters of either case being the same")
            seen.add(output.name.lower())
        return outputs
