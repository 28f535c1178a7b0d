"""The size of each output, and the part of the source that it shows; pure arithmetic without pixels."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dtqs.errors import PermanentError

if TYPE_CHECKING:  # the watermark of a video needs sizes alone, in a process that loads little
    from dtqs.processors.image.operations import ImageCrop
    from dtqs.processors.image.payload import ImageOutput

Size = tuple[int, int]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """Cut `part` out of the source, scale it to `full`, then keep `box` (in pixels of `full`).

    Boxes are left, top, right, bottom. The content places a free part in the source, and the box in `area`.
    The result is put on the canvas, if there is one.
    """

    part: Box
    full: Size
    box: Box
    area: Box | None = None
    canvas: Size | None = None
    free: bool = False

    @property
    def size(self) -> Size:
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    @property
    def final(self) -> Size:
        return self.canvas or self.size

    @property
    def whole(self) -> bool:
        return self.size == self.full

    def with_box_at(self, left: int, top: int) -> "Plan":
        """Return the plan with its box at another place."""
        return replace(self, box=_at(left, top, self.size), area=None)

    def with_part_at(self, left: int, top: int) -> "Plan":
        """Return the plan with its part at another place in the source."""
        return replace(self, part=_at(left, top, extent(self.part)), free=False)


def plan(source: Size, output: "ImageOutput") -> Plan:
    """Return the plan of one output for a source after its orientation is applied.

    Raises PermanentError for a crop outside the source.
    """
    part = _cropped(source, output)
    free = output.crop is not None and output.crop.gravity == "smart" and part != (0, 0, *source)
    return replace(_scaled_part(extent(part), output), part=part, free=free)


def extent(box: Box) -> Size:
    """Return width and height of a box."""
    return box[2] - box[0], box[3] - box[1]


def needed(plans: Iterable[Plan]) -> dict[Box, Size]:
    """Return the size that each part needs so that no plan loses sharpness, at most the source's size."""
    sizes: dict[Box, Size] = {}
    for each in plans:
        before, most = sizes.get(each.part, (1, 1)), extent(each.part)
        sizes[each.part] = min(most[0], max(before[0], each.full[0])), min(most[1], max(before[1], each.full[1]))
    return sizes


def contained(size: Size, side: int) -> Size:
    """Return a size of the same proportions whose sides are at most `side`; never enlarge."""
    return _scaled(size, min(1.0, side / max(size)))


def anchored(gravity: str, outer: Size, inner: Size) -> tuple[int, int]:
    """Return the upper left corner that places the inner size in the outer one by gravity."""
    across = 0.0 if "left" in gravity else 1.0 if "right" in gravity else 0.5
    down = 0.0 if "top" in gravity else 1.0 if "bottom" in gravity else 0.5
    return int((outer[0] - inner[0]) * across), int((outer[1] - inner[1]) * down)


def _cropped(source: Size, output: "ImageOutput") -> Box:
    crop = output.crop
    if crop is None:
        return (0, 0, *source)
    units = (source[0] / 100, source[1] / 100) if crop.unit == "percent" else (1.0, 1.0)
    if crop.left is None and crop.top is None:
        size = (
            min(source[0], max(1, round(crop.width * units[0]))),
            min(source[1], max(1, round(crop.height * units[1]))),
        )
        left, top = anchored(crop.gravity or "centre", source, size)
        return left, top, left + size[0], top + size[1]
    return _box(source, output.name, crop, units)


def _box(source: Size, name: str, crop: "ImageCrop", units: tuple[float, float]) -> Box:
    left, top = round((crop.left or 0) * units[0]), round((crop.top or 0) * units[1])
    if crop.unit == "percent":  # a crop that begins near the end of a small image must not be rounded out of it
        left = min(left, source[0] - 1) if (crop.left or 0) < 100 else left
        top = min(top, source[1] - 1) if (crop.top or 0) < 100 else top
    if left >= source[0] or top >= source[1]:
        raise PermanentError(
            f"output {name}: the crop begins at {left}, {top}, outside the image of {source[0]} × {source[1]} pixels"
        )
    return (
        left,
        top,
        min(source[0], left + max(1, round(crop.width * units[0]))),
        min(source[1], top + max(1, round(crop.height * units[1]))),
    )


def _scaled_part(part: Size, output: "ImageOutput") -> Plan:
    if output.width is None or output.height is None or output.fit in ("contain", "pad"):
        planned = _whole(_contained(part, output))
        return (
            replace(planned, canvas=(output.width, output.height))
            if output.fit == "pad" and output.width and output.height
            else planned
        )
    box = _shrunk(part, (output.width, output.height), output.enlarge)
    return _whole(box) if output.fit == "stretch" else _covering(part, box, output.gravity)


def _whole(size: Size) -> Plan:
    return Plan((0, 0, *size), size, (0, 0, *size))


def _at(left: int, top: int, size: Size) -> Box:
    return left, top, left + size[0], top + size[1]


def _contained(source: Size, output: "ImageOutput") -> Size:
    wanted = ((output.width, source[0]), (output.height, source[1]))
    scale = min((side / of for side, of in wanted if side is not None), default=1.0)
    return _scaled(source, scale if output.enlarge else min(1.0, scale))


def _shrunk(source: Size, box: Size, enlarge: bool) -> Size:
    return box if enlarge else _scaled(box, min(1.0, source[0] / box[0], source[1] / box[1]))


def _covering(source: Size, box: Size, gravity: str) -> Plan:
    scale = max(box[0] / source[0], box[1] / source[1])
    width, height = (max(side, whole) for side, whole in zip(box, _scaled(source, scale), strict=True))
    left, top = anchored(gravity, (width, height), box)
    return replace(
        _whole((width, height)), box=_at(left, top, box), area=(0, 0, width, height) if gravity == "smart" else None
    )


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
