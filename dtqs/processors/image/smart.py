"""Finds the most interesting area for a smart crop: edges, colours and skin in a small copy of the image."""

from itertools import accumulate

from PIL import Image, ImageChops, ImageFilter, ImageStat

from dtqs.processors.image.geometry import Box, Plan, Size

_SIDE = 96
_STEPS = 24
"""The number of positions to try each way."""
_SKIN_WEIGHT, _COLOUR_WEIGHT = 1.0, 0.1
_CENTRE_WEIGHT = 0.15
"""How much less a position at the very edge counts: without other differences, the middle is kept."""
_EDGES = ImageFilter.Kernel((3, 3), (-1, -1, -1, -1, 8, -1, -1, -1, -1), scale=1)
Sums = list[list[float]]


def placed(picture: Image.Image, plan: Plan) -> Plan:
    """Return the plan with its box on the most interesting area; `picture` is its part, at any size."""
    return plan if plan.area is None else plan.with_box_at(*best(picture, plan.full, plan.area, plan.size))


def best(picture: Image.Image, full: Size, area: Box, size: Size) -> Size:
    """Return the best left and top of a box of a size in an area, all in pixels of `full`."""
    left, top, right, bottom = area
    free = right - left - size[0], bottom - top - size[1]
    small = _small(picture)
    sums = _sums(interest(small))
    scales = small.width / full[0], small.height / full[1]

    def worth(offset: tuple[int, int]) -> float:
        x, y = left + offset[0], top + offset[1]
        inside = _inside(sums, x * scales[0], y * scales[1], (x + size[0]) * scales[0], (y + size[1]) * scales[1])
        return inside * (1 - _CENTRE_WEIGHT * (_off_centre(offset[0], free[0]) + _off_centre(offset[1], free[1])) / 2)

    found = max(((x, y) for y in _places(free[1]) for x in _places(free[0])), key=worth)
    return left + found[0], top + found[1]


def interest(small: Image.Image) -> Image.Image:
    """Return how interesting each pixel is, as 8-bit grey."""
    base = Image.new("RGB", small.size, "#ffffff")
    base.paste(small, mask=small.getchannel("A") if small.mode.endswith("A") else None)
    grey = base.convert("L")
    edges = _edges(grey).filter(ImageFilter.BoxBlur(1))
    hue, saturation, value = base.convert("HSV").split()
    bright = value.point([0 if level < 40 else 255 for level in range(256)])
    colour = ImageChops.multiply(saturation, bright).point([int(level * _COLOUR_WEIGHT) for level in range(256)])
    skin_hue = hue.point([255 if level < 25 or level > 240 else 0 for level in range(256)])
    skin_tone = saturation.point([255 if 40 <= level <= 170 else 0 for level in range(256)])
    skin = ImageChops.multiply(ImageChops.multiply(skin_hue, skin_tone), ImageChops.multiply(bright, grey))
    return ImageChops.add(
        ImageChops.add(edges, colour), skin.point([int(level * _SKIN_WEIGHT) for level in range(256)])
    )


def _edges(grey: Image.Image) -> Image.Image:
    """Return the edges. The outermost pixels are black, since the filter does not process them."""
    inner = (1, 1, max(1, grey.width - 1), max(1, grey.height - 1))
    edges = Image.new("L", grey.size, 0)
    edges.paste(grey.filter(_EDGES).crop(inner), inner)
    return edges


def _small(picture: Image.Image) -> Image.Image:
    scale = min(1.0, _SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0).convert(
        "RGBA" if picture.mode in ("LA", "RGBA") else "RGB"
    )


def _sums(interesting: Image.Image) -> Sums:
    """Return sums over the area above and to the left of each pixel, so that a box takes four look-ups."""
    width, data = interesting.width, interesting.tobytes()
    # texture that is everywhere is not interesting
    level = ImageStat.Stat(interesting).mean[0] / 2
    above: list[float] = [0.0] * (width + 1)
    rows = [above]
    for start in range(0, len(data), width):
        row = [0.0, *accumulate(max(0.0, value - level) for value in data[start : start + width])]
        above = [one + other for one, other in zip(above, row, strict=True)]
        rows.append(above)
    return rows


def _inside(sums: Sums, left: float, top: float, right: float, bottom: float) -> float:
    x0, x1 = (min(round(x), len(sums[0]) - 1) for x in (left, right))
    y0, y1 = (min(round(y), len(sums) - 1) for y in (top, bottom))
    return sums[y1][x1] - sums[y0][x1] - sums[y1][x0] + sums[y0][x0]


def _places(free: int) -> list[int]:
    steps = min(_STEPS, free)
    return [free * step // steps for step in range(steps + 1)] if steps else [0]


def _off_centre(offset: int, free: int) -> float:
    return abs(2 * offset / free - 1) if free else 0.0
