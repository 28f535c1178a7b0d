"""One decoded frame or page. Each output scales a part of it down a ladder of sizes, then applies its effects."""

from collections.abc import Callable, Mapping

from PIL import Image

from dtqs.processors.image import smart
from dtqs.processors.image.colour import PLAIN, fitting_profile, srgb
from dtqs.processors.image.effects import apply, needs_rgb
from dtqs.processors.image.geometry import Box, Plan
from dtqs.processors.image.payload import ImageOutput
from dtqs.processors.image.resize import Loaded, SizeLadder
from dtqs.processors.image.watermark import stamped

_WITH_INKS = frozenset({"jpeg", "tiff"})
MarkOf = Callable[[str], Image.Image]
"""Returns the watermark image of a URI."""


class ImageFrame:
    """The parts in sRGB, and unconverted for outputs that keep the profile. Each is made when first needed."""

    def __init__(self, parts: Mapping[Box, Loaded], mark_of: MarkOf) -> None:
        self._parts, self._mark_of = parts, mark_of
        self._ladders: dict[tuple[Box, bool], SizeLadder] = {}
        self._any = next(iter(parts.values()))
        self._profile = fitting_profile(self._any.picture, self._any.profile)
        self.remark: str | None = None

    def make(self, output: ImageOutput, plan: Plan) -> Image.Image:
        """Return the finished image of an output. Ask for larger ones first."""
        picture = self._ladder(plan.part, self.profile_for(output) is not None).make(plan)
        mark = output.watermark
        stamp = (
            (lambda under: stamped(under, mark, self._mark_of(mark.source) if mark.source else None)) if mark else None
        )
        return apply(picture, output, plan.canvas, stamp)

    def placed(self, plan: Plan) -> Plan:
        """Return the plan with its box on the most interesting area, if the box may move."""
        return plan if plan.area is None else smart.placed(self._parts[plan.part].picture, plan)

    def profile_for(self, output: ImageOutput) -> bytes | None:
        """Return the profile that an output keeps; None if its colours become sRGB."""
        inks = self._any.picture.mode not in PLAIN
        if (
            not output.keep_profile
            or output.format == "gif"
            or (inks and (needs_rgb(output) or output.format not in _WITH_INKS))
        ):
            return None
        return self._profile

    def small(self, whole: Box) -> Image.Image:
        """Return the smallest sRGB version of the whole image made so far."""
        if (whole, False) not in self._ladders and (whole, True) in self._ladders:
            return srgb(self._ladders[whole, True].smallest, self._any.profile)[0]
        return self._ladder(whole, keep=False).smallest

    def _ladder(self, part: Box, keep: bool) -> SizeLadder:
        if (part, keep) not in self._ladders:
            picture = self._parts[part].picture
            if not keep:
                picture, self.remark = srgb(picture, self._any.profile)
            self._ladders[part, keep] = SizeLadder(picture)
        return self._ladders[part, keep]
