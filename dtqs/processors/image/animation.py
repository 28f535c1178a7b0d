"""The frames of an animation in time: which outputs keep them, how long each is shown, and how often all of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL.ImageFile import ImageFile

from dtqs.processors.image.decode import decoding
from dtqs.processors.image.payload import ANIMATED_FORMATS, ImageOutput
from dtqs.processors.image.sources import ANIMATIONS

_LONGEST_MILLISECONDS = 0xFFFF * 10
"""What a GIF can say."""
_MOST_LOOPS = 0xFFFF


@dataclass(slots=True)
class Timing:
    """Filled in while the frames go by; 0 loops are endless."""

    milliseconds: list[int] = field(default_factory=list)
    loops: int = 0


def is_kept(image: ImageFile, output: ImageOutput, frames: int) -> bool:
    """Tell whether an output shows all frames."""
    wanted = output.animated and output.page is None and (output.format == "auto" or output.format in ANIMATED_FORMATS)
    return wanted and frames > 1 and image.format in ANIMATIONS


def timed(image: ImageFile, frames: int, timing: Timing) -> Iterator[None]:
    """Go through the frames; each is to be loaded before the next."""
    timing.loops = _loops(image)
    # an APNG may have a picture in front for those that cannot show animations
    for number in range(1 if image.info.get("default_image") and frames > 1 else 0, frames):
        with decoding(image.format or ""):
            image.seek(number)
        yield
        milliseconds = image.info.get("duration", 0)
        known = isinstance(milliseconds, int | float) and 0 <= milliseconds <= _LONGEST_MILLISECONDS
        timing.milliseconds.append(round(milliseconds) if known else 0)


def _loops(image: ImageFile) -> int:
    loops = image.info.get("loop")
    if not isinstance(loops, int):
        return 1 if image.format == "GIF" else 0
    return min(_MOST_LOOPS, loops + 1 if image.format == "GIF" and loops else loops)
