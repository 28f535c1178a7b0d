"""Makes all sizes from one decode: each from the smallest picture at hand that is large enough for it. What sizes, geometry says."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image
from PIL.ImageFile import ImageFile

from dtqs.processors.image.colour import described, scalable
from dtqs.processors.image.decode import orientation
from dtqs.processors.image.geometry import Box, Plan, Size

ENOUGH = 2.0
"""A picture is made from a smaller one that was made before only if that has so many times its pixels each way."""
_DRAFT = 1.25
"""A JPEG is decoded at a size that is so many times the one that is needed each way: nearer to it, the loss would begin to show."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_MIRRORED_ACROSS, _MIRRORED_DOWN = frozenset({2, 3, 6, 7}), frozenset({3, 4, 7, 8})
_GAP = 3.0
"""Before Lanczos, pixels are averaged down to so many times the size each way: nobody sees it, and it is a fraction of the work."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A part of a decoded picture: upright, at the size that is needed, its colours as they were stored; and what its profile says of them."""

    picture: Image.Image
    profile: bytes | None


def shown_size(image: ImageFile) -> Size:
    """Return width and height as people see the picture."""
    return _turned(image.size, orientation(image))


class Decoded:
    """A decoded picture as it is stored, from which parts are taken.

    A part is cut out exactly before it is shrunk: nothing of its surroundings shows in it. Where the whole picture is all
    that is needed, a JPEG is decoded at a half, a quarter or an eighth if that is still larger than the size.
    """

    def __init__(self, image: ImageFile, needs: Mapping[Box, Size]) -> None:
        self._turn, self._shown = orientation(image), shown_size(image)
        if set(needs) == {self.whole}:
            width, height = _turned(needs[self.whole], self._turn)
            image.draft(None, (int(width * _DRAFT), int(height * _DRAFT)))
        image.load()
        self._picture = scalable(image)
        self._profile, self._hdr = described(image.info)

    @property
    def whole(self) -> Box:
        return (0, 0, *self._shown)

    def part(self, part: Box, size: Size) -> Loaded:
        """Return a part (as shown) at a size, upright. Shrinking comes first: all that follows costs by the pixel."""
        picture, stored = self._picture, _turned(size, self._turn)
        if part != self.whole:
            picture = picture.crop(_stored(part, self._shown, self._turn))
        if picture.size != stored:
            picture = picture.resize(stored, Image.Resampling.LANCZOS, reducing_gap=_GAP)
        if self._turn in _TURNS:
            picture = picture.transpose(_TURNS[self._turn])
        picture = _bare(picture)
        if self._hdr:
            picture = importlib.import_module("dtqs.processors.image.hdr").tone_mapped(picture, self._hdr)
        return Loaded(picture, self._profile)


def _stored(part: Box, shown: Size, turn: int) -> Box:
    """Return where a part of the picture as shown lies in the picture as stored."""
    left, top, right, bottom = part
    if turn in _MIRRORED_ACROSS:
        left, right = shown[0] - right, shown[0] - left
    if turn in _MIRRORED_DOWN:
        top, bottom = shown[1] - bottom, shown[1] - top
    return (top, left, bottom, right) if turn >= 5 else (left, top, right, bottom)


class SizeLadder:
    """One part of the picture at the sizes it was made in so far, largest first."""

    def __init__(self, picture: Image.Image) -> None:
        self._rungs = [picture]

    @property
    def smallest(self) -> Image.Image:
        return self._rungs[-1]

    def make(self, plan: Plan) -> Image.Image:
        """Return the picture for a plan. Larger plans should come first, so that smaller ones can use them."""
        rung = self._rung(plan.full)
        if rung.size == plan.full:
            return rung if plan.whole else rung.crop(plan.box)
        across, down = rung.width / plan.full[0], rung.height / plan.full[1]
        left, top, right, bottom = plan.box
        box = (left * across, top * down, min(right * across, rung.width), min(bottom * down, rung.height))
        made = rung.resize(plan.size, Image.Resampling.LANCZOS, box, reducing_gap=_GAP)
        if plan.whole and made.width <= rung.width and made.height <= rung.height:
            self._rungs.append(made)
        return made

    def _rung(self, full: Size) -> Image.Image:
        for rung in reversed(self._rungs):
            if rung.size == full or (rung.width >= ENOUGH * full[0] and rung.height >= ENOUGH * full[1]):
                return rung
        return self._rungs[0]


def _bare(picture: Image.Image) -> Image.Image:
    """A picture with nothing but pixels. Writers take along, unasked, what `info` has: a comment, a profile, EXIF."""
    bare = picture
    if isinstance(picture, ImageFile):
        # a reader that goes on to other frames paints over its pixels; the others' may be shared, which halves what a large picture needs
        bare = picture.copy() if getattr(picture, "n_frames", 1) > 1 else picture._new(picture.im)
    bare.info = {}
    return bare


def _turned(size: Size, turn: int) -> Size:
    return (size[1], size[0]) if turn >= 5 else size
