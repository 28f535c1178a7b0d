"""Makes all sizes from one decode, each from the smallest image at hand that is large enough. geometry.py plans."""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image
from PIL.ImageFile import ImageFile

from dtqs.processors.image.colour import colour_profile, scalable
from dtqs.processors.image.decode import orientation
from dtqs.processors.image.geometry import Box, Plan, Size
from dtqs.processors.image.seldom import seldom

ENOUGH = 2.0
"""An image is made from a smaller one made before only if that one has this many times its pixels each way."""
_DRAFT = 1.25
"""A JPEG is decoded at this many times the needed size each way; closer to it, the loss becomes visible."""
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
"""Before Lanczos, pixels are averaged down to this many times the size each way: invisible, and much less work."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A part of a decoded image: upright, at the needed size, in its stored colours, which `profile` describes."""

    picture: Image.Image
    profile: bytes | None


def upright_size(image: ImageFile) -> Size:
    """Return width and height of the upright image."""
    return _turned(image.size, orientation(image))


class Decoded:
    """A decoded image as stored, from which parts are taken.

    A part is cut out before it is shrunk, so that nothing around it bleeds in. If only the whole image is needed,
    a JPEG is decoded at a half, a quarter or an eighth that still exceeds the size.
    """

    def __init__(self, image: ImageFile, needs: Mapping[Box, Size]) -> None:
        self._turn, self._upright = orientation(image), upright_size(image)
        if set(needs) == {self.whole}:
            width, height = _turned(needs[self.whole], self._turn)
            image.draft(None, (int(width * _DRAFT), int(height * _DRAFT)))
        image.load()
        self._picture = scalable(image)
        self._profile, self._hdr = colour_profile(image.info)

    @property
    def whole(self) -> Box:
        return (0, 0, *self._upright)

    def part(self, part: Box, size: Size) -> Loaded:
        """Return a part of the upright image at a size. It is shrunk first, since all later steps cost by the pixel."""
        picture, stored_size = self._picture, _turned(size, self._turn)
        if part != self.whole:
            picture = picture.crop(_stored_box(part, self._upright, self._turn))
        if picture.size != stored_size:
            picture = picture.resize(stored_size, Image.Resampling.LANCZOS, reducing_gap=_GAP)
        if self._turn in _TURNS:
            picture = picture.transpose(_TURNS[self._turn])
        picture = _bare(picture)
        if self._hdr:
            picture = seldom("dtqs.processors.image.hdr").tone_mapped(picture, self._hdr)
        return Loaded(picture, self._profile)


def _stored_box(part: Box, upright: Size, turn: int) -> Box:
    """Return the place, in the stored image, of a part of the upright image."""
    left, top, right, bottom = part
    if turn in _MIRRORED_ACROSS:
        left, right = upright[0] - right, upright[0] - left
    if turn in _MIRRORED_DOWN:
        top, bottom = upright[1] - bottom, upright[1] - top
    return (top, left, bottom, right) if turn >= 5 else (left, top, right, bottom)


class SizeLadder:
    """One part of the image at the sizes made so far, largest first."""

    def __init__(self, picture: Image.Image) -> None:
        self._rungs = [picture]

    @property
    def smallest(self) -> Image.Image:
        return self._rungs[-1]

    def make(self, plan: Plan) -> Image.Image:
        """Return the image for a plan. Ask for larger plans first, so that smaller ones can use them."""
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
    """Return an image of only pixels: writers would also write a comment, profile or EXIF in `info`."""
    bare = picture
    if isinstance(picture, ImageFile):
        # a reader paints later frames over its pixels; sharing other readers' pixels halves the memory of a large image
        bare = picture.copy() if getattr(picture, "n_frames", 1) > 1 else picture._new(picture.im)
    bare.info = {}
    return bare


def _turned(size: Size, turn: int) -> Size:
    return (size[1], size[0]) if turn >= 5 else size
