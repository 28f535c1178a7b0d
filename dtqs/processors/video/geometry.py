"""Decide the size of an output, and the steps of scaling to it; pure. Sides are even, as encoders require."""

from dataclasses import dataclass

from dtqs.processors.video.payload import VideoCrop, VideoOutput

Size = tuple[int, int]
_ROUNDING = 1e-6
"""The most that floating-point arithmetic takes from a whole number."""


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """The steps to the final size: crop, scale, crop to the middle, add bars."""

    crop: VideoCrop | None
    scaled: Size
    middle: Size | None
    padded: Size | None

    @property
    def size(self) -> Size:
        return self.padded or self.middle or self.scaled


def frame(displayed: Size, output: VideoOutput) -> VideoFrame:
    """Decide the steps for a video of this size. Raises ValueError for a crop that is not inside the frame."""
    crop = output.crop
    if crop and (crop.x + crop.width > displayed[0] or crop.y + crop.height > displayed[1]):
        raise ValueError(f"crop reaches outside of the frame, which has {displayed[0]} × {displayed[1]} pixels")
    whole = (crop.width, crop.height) if crop else displayed
    most = None if output.enlarge else whole
    if output.width is None or output.height is None:
        return VideoFrame(crop, _scaled(whole, _one_side(whole, output), most), None, None)
    box = _down(output.width), _down(output.height)
    contain, cover = (box[0] / whole[0], box[1] / whole[1]), max(box[0] / whole[0], box[1] / whole[1])
    if output.fit == "stretch":
        shrink = 1.0 if output.enlarge else min(1.0, 1 / contain[0], 1 / contain[1])
        return VideoFrame(crop, _shrunk(box, shrink), None, None)
    if output.fit == "cover":
        shrink = 1.0 if output.enlarge else min(1.0, 1 / cover)
        middle = _shrunk(box, shrink)
        scaled = _scaled(whole, cover * shrink, most)
        return VideoFrame(crop, (max(scaled[0], middle[0]), max(scaled[1], middle[1])), middle, None)
    scaled = _scaled(whole, min(contain) if output.enlarge else min(*contain, 1.0), most)
    return VideoFrame(crop, scaled, None, box if output.fit == "pad" else None)


def rendition(displayed: Size, output: VideoOutput, short_side: int) -> VideoFrame:
    """Decide the steps for one size of a stream."""
    return frame(displayed, output.model_copy(update={"short_side": short_side, "width": None, "height": None}))


def _one_side(whole: Size, output: VideoOutput) -> float:
    factor = 1.0
    if output.short_side is not None:
        factor = _down(output.short_side) / min(whole)
    elif output.width is not None:
        factor = _down(output.width) / whole[0]
    elif output.height is not None:
        factor = _down(output.height) / whole[1]
    return factor if output.enlarge else min(factor, 1.0)


def _scaled(size: Size, factor: float, most: Size | None) -> Size:
    """Return the nearest even size, with no side above `most`."""
    width, height = (max(2, round(side * factor / 2) * 2) for side in size)
    return (width, height) if most is None else (min(width, _down(most[0])), min(height, _down(most[1])))


def _shrunk(box: Size, factor: float) -> Size:
    """Return a smaller box with the same proportions: both sides are rounded alike."""
    return _down(box[0] * factor), _down(box[1] * factor)


def _down(side: float) -> int:
    return max(2, int(side + _ROUNDING) // 2 * 2)
