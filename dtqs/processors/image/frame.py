"""One decoded frame or page. Each output scales a part of it down a ladder of sizes, then applies its effects."""

from collections.abc import Callable, Mapping

from PIL import Image

from dtqs.processors.image import smart
from dtqs.processors.image.colour import fitting_profile, srgb
from dtqs.processors.image.effects import apply, draws, needs_rgb, with_colours_in
from dtqs.processors.image.geometry import Box, Plan
from dtqs.processors.image.payload import ImageOutput
from dtqs.processors.image.resize import Loaded, SizeLadder
from dtqs.processors.image.watermark import stamped

_HOLDERS = {
    "CMYK": frozenset({"jpeg", "tiff"}),
    "L": frozenset({"jpeg", "png", "tiff", "avif", "auto"}),
    "LA": frozenset({"png", "tiff"}),
}
"""Formats that store these pixels as they are. The others store RGB, which such a profile does not describe."""
MarkOf = Callable[[str, bytes | None], Image.Image]
"""Returns the watermark image of a URI, in the colours of a profile or in sRGB."""


class ImageFrame:
    """The parts in sRGB, and unconverted for outputs that keep the profile. Each is made when first needed."""

    def __init__(self, parts: Mapping[Box, Loaded], mark_of: MarkOf, moves: bool = False) -> None:
        """`moves`: it is a frame of an animation that outputs keep."""
        self._parts, self._mark_of, self._moves = parts, mark_of, moves
        self._ladders: dict[tuple[Box, bool], SizeLadder] = {}
        self._any = next(iter(parts.values()))
        self._profile = fitting_profile(self._any.picture, self._any.profile)
        self.remark: str | None = None

    def make(self, output: ImageOutput, plan: Plan) -> Image.Image:
        """Return the finished image of an output. Ask for larger ones first."""
        profile = self.profile_for(output)
        picture = self._ladder(plan.part, profile is not None).make(plan)
        if profile:
            output = with_colours_in(profile, output)
        mark = output.watermark

        def stamp(under: Image.Image) -> Image.Image:
            assert mark
            return stamped(under, mark, self._mark_of(mark.source, profile) if mark.source else None)

        return apply(picture, output, plan.canvas, stamp if mark else None)

    def placed(self, plan: Plan) -> Plan:
        """Return the plan with its box on the most interesting area, if the box may move."""
        return plan if plan.area is None else smart.placed(self._parts[plan.part].picture, plan)

    def profile_for(self, output: ImageOutput) -> bytes | None:
        """Return the profile that an output keeps; None if its colours become sRGB."""
        mode = self._any.picture.mode
        if not output.keep_profile or output.format == "gif":
            return None
        if mode in ("RGB", "RGBA"):
            return None if output.grayscale else self._profile
        if output.format == "avif" and output.subsampling:
            return None  # then it has planes of colour
        if output.format == "auto" and self._moves and output.animated and output.page is None:
            return None  # then it becomes a WebP
        becomes_rgb = needs_rgb(output) if mode == "CMYK" else draws(output) or output.colors is not None
        return self._profile if output.format in _HOLDERS.get(mode, ()) and not becomes_rgb else None

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
