"""One decoded frame or page, and what each output makes of it: the size by a ladder in the right colours, then the effects."""

from collections.abc import Callable

from PIL import Image

from dtqs.processors.image import smart
from dtqs.processors.image.colour import PLAIN, fitting_profile, srgb
from dtqs.processors.image.effects import apply, needs_rgb
from dtqs.processors.image.geometry import Plan
from dtqs.processors.image.payload import ImageOutput
from dtqs.processors.image.resize import Ladder, Loaded
from dtqs.processors.image.watermark import stamped

_WITH_INKS = frozenset({"jpeg", "tiff"})
MarkOf = Callable[[str], Image.Image]
"""Gives the watermark picture of a URI."""


class Frame:
    """The picture in sRGB, and as it was stored for outputs that keep its profile; each made when first asked for."""

    def __init__(self, loaded: Loaded, mark_of: MarkOf) -> None:
        self._loaded, self._mark_of = loaded, mark_of
        self._ladders: dict[bool, Ladder] = {}
        self._profile = fitting_profile(loaded.picture, loaded.profile)
        self.remark: str | None = None

    def make(self, output: ImageOutput, plan: Plan) -> Image.Image:
        """Return the finished picture of an output. Larger ones should come first."""
        picture = self._ladder(self.profile_for(output) is not None).make(plan)
        mark = output.watermark
        stamp = (lambda under: stamped(under, mark, self._mark_of(mark.source) if mark.source else None)) if mark else None
        return apply(picture, output, plan.canvas, stamp)

    def placed(self, plan: Plan) -> Plan:
        """Return the plan with its box where there is most to see, if it is for us to choose."""
        return plan if plan.area is None else smart.placed(self._loaded.picture, plan)

    def profile_for(self, output: ImageOutput) -> bytes | None:
        """Return the profile that an output is to keep; None where its colours become sRGB."""
        inks = self._loaded.picture.mode not in PLAIN
        if not output.keep_profile or output.format == "gif" or (inks and (needs_rgb(output) or output.format not in _WITH_INKS)):
            return None
        return self._profile

    def small(self) -> Image.Image:
        """Return the smallest sRGB picture that there is by now."""
        if False not in self._ladders and True in self._ladders:
            return srgb(self._ladders[True].smallest, self._loaded.profile)[0]
        return self._ladder(keep=False).smallest

    def _ladder(self, keep: bool) -> Ladder:
        if keep not in self._ladders:
            picture = self._loaded.picture
            if not keep:
                picture, self.remark = srgb(picture, self._loaded.profile)
            self._ladders[keep] = Ladder(picture)
        return self._ladders[keep]
