"""Reduces an image to a palette: for `colors`, and for a GIF, whose pixels are either opaque or transparent."""

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from PIL import Image

MOST_COLOURS = 256
HOLE = 0
"""The index of a GIF's transparent pixels. All frames share it, because the writer compares frames by their indices."""
_OPAQUE_FROM = 128
_SAME = 1e-6
Colour = tuple[int, ...]


class _Entry(NamedTuple):
    """One colour of a fine palette: its number there, the number of its pixels, and its place among the other colours.

    The place has red, green and blue, each times the opacity, and the opacity, all up to 255.
    """

    number: int
    pixels: int
    place: tuple[float, ...]


class _Box(NamedTuple):
    """Colours that become one, ordered by their error: how much they differ along one axis."""

    negative_error: float
    number: int
    axis: int
    middle: tuple[float, ...]
    entries: Sequence[_Entry]


def with_palette(picture: Image.Image, colors: int) -> Image.Image:
    """Return the image with at most this number of colours. Transparent ones count, too."""
    if picture.mode not in ("LA", "RGBA"):
        picture = picture.convert("RGB")
        palette = picture.quantize(colors, Image.Quantize.MEDIANCUT, kmeans=1)
        return picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    fine = _fine(picture.convert("RGBA"))
    boxes = _boxes(_entries(fine.histogram(), _colours(fine)), colors)
    made = fine.point(_table(boxes, 0))
    made.putpalette(bytes(level for box in boxes for level in _colour(box)), "RGBA")
    return made


def with_hole(picture: Image.Image, colors: int) -> Image.Image:
    """Return an image with alpha as a GIF stores it: each pixel is opaque, or has the index `HOLE`."""
    opacity = picture.getchannel("A")
    shape = opacity.point([255 if level >= _OPAQUE_FROM else 0 for level in range(256)])
    hidden = opacity.point([0 if level >= _OPAQUE_FROM else 255 for level in range(256)])
    if picture.mode == "LA":
        grey = picture.getchannel("L")
        fine = Image.frombytes("P", grey.size, grey.tobytes())
        colours: list[Colour] = [(level, level, level, 255) for level in range(256)]
    else:
        solid = picture.copy()
        solid.putalpha(shape)
        solid.paste((0, 0, 0, 0), mask=hidden)
        fine = _fine(solid)
        colours = _colours(fine)
    boxes = _boxes(_entries(fine.histogram(shape), colours), colors - 1)
    made = fine.point(_table(boxes, HOLE + 1))
    made.paste(HOLE, mask=hidden)
    made.putpalette(bytes(3) + bytes(level for box in boxes for level in _colour(box)[:3]))
    made.info = {"transparency": HOLE}
    return made


def _fine(picture: Image.Image) -> Image.Image:
    """Return the image with up to 256 colours. With fewer, this quantizer drops colours, and shows others for them."""
    return picture.quantize(MOST_COLOURS, Image.Quantize.FASTOCTREE)


def _colours(fine: Image.Image) -> list[Colour]:
    levels = fine.getpalette("RGBA") or []
    return [tuple(levels[at : at + 4]) for at in range(0, len(levels), 4)]


def _entries(counts: Sequence[int], colours: Sequence[Colour]) -> list[_Entry]:
    return [
        _Entry(index, pixels, (*(level * colour[3] / 255 for level in colour[:3]), colour[3]))
        for index, (pixels, colour) in enumerate(zip(counts, colours, strict=False))
        if pixels
    ]


def _boxes(entries: Sequence[_Entry], most: int) -> list[_Box]:
    """Divide the colours into boxes, each time the one whose colours differ most."""
    if len(entries) <= most:
        return [_box([entry], number) for number, entry in enumerate(entries)]
    boxes, numbers = [_box(entries, 0)], count(1)
    while len(boxes) < most and boxes[0].negative_error < -_SAME:
        widest = heappop(boxes)
        axis, border = widest.axis, widest.middle[widest.axis]
        for above in (False, True):
            part = [entry for entry in widest.entries if (entry.place[axis] > border) == above]
            heappush(boxes, _box(part, next(numbers)))
    return boxes


def _box(entries: Sequence[_Entry], number: int) -> _Box:
    pixels = sum(entry.pixels for entry in entries)
    middle = tuple(sum(entry.pixels * entry.place[axis] for entry in entries) / pixels for axis in range(4))
    errors = [sum(entry.pixels * (entry.place[axis] - middle[axis]) ** 2 for entry in entries) for axis in range(4)]
    axis = max(range(4), key=errors.__getitem__)
    return _Box(-errors[axis], number, axis, middle, entries)


def _table(boxes: Sequence[_Box], first: int) -> list[int]:
    """Return the new index of each old one; the boxes have theirs in order, beginning with `first`."""
    table = [0] * 256
    for number, box in enumerate(boxes, first):
        for entry in box.entries:
            table[entry.number] = number
    return table


def _colour(box: _Box) -> Colour:
    """Return the mean of a box. Colours that are mostly opaque, or mostly transparent, stay fully so."""
    opacity = box.middle[3]
    pixels = sum(entry.pixels for entry in box.entries)
    for extreme in (0, 255):
        if 2 * sum(entry.pixels for entry in box.entries if entry.place[3] == extreme) >= pixels:
            opacity = extreme
    if not box.middle[3]:
        return 0, 0, 0, 0
    return *(min(255, round(255 * level / box.middle[3])) for level in box.middle[:3]), round(opacity)
