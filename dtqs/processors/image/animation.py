"""Animations in time: the outputs that keep their frames, the duration of each frame, and the number of loops."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from PIL import Image
from PIL.ImageFile import ImageFile

from dtqs.processors.image.decode import decoding
from dtqs.processors.image.payload import ANIMATED_FORMATS, ImageOutput
from dtqs.processors.image.sources import ANIMATIONS

LONGEST_MILLISECONDS = 0xFFFF * 10
"""The longest duration in a GIF. Longer ones are cut to it in all formats."""
NO_TIME_MILLISECONDS = 100
"""Browsers show a frame of 0 ms this long. An AVIF stores at least one unit of its clock, which other players obey."""
_MOST_LOOPS = 0xFFFF
_GIF_UNIT, _SHORTEST_IN_GIF, _SLOWED = 10, 20, 10
"""Browsers show a frame of at most 10 ms for 100 ms. So a GIF gives a longer one at least two of its units."""
_PNG_NUMBERS = 0xFFFF
"""An APNG stores a duration as the ratio of two numbers up to this one."""


@dataclass(slots=True)
class Timing:
    """Durations and loops, filled in while the frames are decoded; 0 loops means endless."""

    milliseconds: list[float] = field(default_factory=list)
    loops: int = 0


class AnimatedImage(Image.Image):
    """An animation whose frames are made when a writer asks for them. It holds one at a time."""

    def __init__(self, count: int, make: Callable[[int], Image.Image]) -> None:
        super().__init__()
        self.n_frames, self.is_animated, self._make = count, count > 1, make
        self._show(0)

    def tell(self) -> int:
        return self._at

    def seek(self, frame: int) -> None:
        if not 0 <= frame < self.n_frames:
            raise EOFError("no more frames")
        if frame != self._at:
            self._show(frame)

    def _show(self, frame: int) -> None:
        picture = self._picture = self._make(frame)
        self.im, self._mode, self._size, self.palette = picture.im, picture.mode, picture.size, picture.palette
        self._at = frame

    def copy(self) -> Image.Image:
        """Return the shown frame, with the `info` of its own, such as its transparent colour."""
        return self._picture.copy()


def is_kept(image: ImageFile, output: ImageOutput, frames: int) -> bool:
    """Tell whether an output keeps all frames."""
    wanted = output.animated and output.page is None and (output.format == "auto" or output.format in ANIMATED_FORMATS)
    return wanted and frames > 1 and image.format in ANIMATIONS


def timed(image: ImageFile, frames: int, timing: Timing) -> Iterator[None]:
    """Go through the frames. The caller loads each one before the next."""
    timing.loops, start = _loops(image), 0
    for number in range(first(image, frames), frames):
        with decoding(image.format or ""):
            image.seek(number)
        yield
        milliseconds, before, start = image.info.get("duration", 0), start, image.info.get("timestamp", 0)
        if image.format == "AVIF" and timing.milliseconds:
            # its durations are rounded one by one, and the errors would add up
            timing.milliseconds[-1] = min(start - before, LONGEST_MILLISECONDS)
        known = isinstance(milliseconds, int | float) and milliseconds >= 0
        timing.milliseconds.append(min(milliseconds, LONGEST_MILLISECONDS) if known else 0)


def stored(milliseconds: Sequence[float], format: str) -> list[int]:
    """Return the durations as a format stores them. The rest of each rounding goes to the next frame."""
    times, ahead = [], 0.0
    for wanted in milliseconds:
        unit = _GIF_UNIT if format == "gif" or (format == "png" and wanted - ahead >= _PNG_NUMBERS) else 1
        if format == "gif" and wanted <= _SLOWED:
            times.append(unit * round(wanted / unit))
            continue
        if format == "avif":
            wanted = wanted or NO_TIME_MILLISECONDS
        time = max(0, unit * round((wanted - ahead) / unit))
        ahead += time - wanted
        if format == "gif" and time < _SHORTEST_IN_GIF:
            time, ahead = _SHORTEST_IN_GIF, 0.0
        times.append(max(1, time) if format == "avif" else time)
    return times


def first(image: ImageFile, frames: int) -> int:
    """Return the number of the first frame: an APNG may begin with a still image for programs without animations."""
    return 1 if image.info.get("default_image") and frames > 1 else 0


def _loops(image: ImageFile) -> int:
    loops = image.info.get("loop")
    if not isinstance(loops, int):
        return 1 if image.format == "GIF" else 0
    return min(_MOST_LOOPS, loops + 1 if image.format == "GIF" and loops else loops)
