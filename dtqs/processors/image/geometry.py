"""How large a picture becomes and which part of it stays; pure arithmetic on sizes, no pixel in sight."""

from dataclasses import dataclass

from dtqs.processors.image.payload import ImageOutput

Size = tuple[int, int]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """Scale the whole picture to `full`, then keep the part in `box` (left, top, right, bottom, in pixels of `full`)."""

    full: Size
    box: Box

    @property
    def size(self) -> Size:
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    @property
    def whole(self) -> bool:
        return self.size == self.full


def plan(source: Size, output: ImageOutput) -> Plan:
    """Decide size and part of one output of a source, as it is shown (after its orientation)."""
    if output.width is None or output.height is None or output.fit == "contain":
        return _whole(_contained(source, output))
    box = _shrunk(source, (output.width, output.height), output.enlarge)
    return _whole(box) if output.fit == "stretch" else _covering(source, box)


def largest(source: Size, plans: list[Plan]) -> Size:
    """Return the size at which the picture must be had so that no plan loses sharpness: never above the source's."""
    return min(source[0], max(p.full[0] for p in plans)), min(source[1], max(p.full[1] for p in plans))


def _whole(size: Size) -> Plan:
    return Plan(size, (0, 0, *size))


def _contained(source: Size, output: ImageOutput) -> Size:
    wanted = ((output.width, source[0]), (output.height, source[1]))
    scale = min((side / of for side, of in wanted if side is not None), default=1.0)
    return _scaled(source, scale if output.enlarge else min(1.0, scale))


def _shrunk(source: Size, box: Size, enlarge: bool) -> Size:
    return box if enlarge else _scaled(box, min(1.0, source[0] / box[0], source[1] / box[1]))


def _covering(source: Size, box: Size) -> Plan:
    scale = max(box[0] / source[0], box[1] / source[1])
    width, height = (max(side, whole) for side, whole in zip(box, _scaled(source, scale), strict=True))
    left, top = (width - box[0]) // 2, (height - box[1]) // 2
    return Plan((width, height), (left, top, left + box[0], top + box[1]))


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
