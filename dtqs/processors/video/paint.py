"""Build the filters for the look of the frames: crop, convert colours, scale, pad, add watermark and subtitles.

Each step states its colours.
"""

from dataclasses import replace
from typing import Any

import ffmpeg

from dtqs.processors.video import filters
from dtqs.processors.video.colour import BT709, SRGB, Colour, Surface, conversion
from dtqs.processors.video.command import Stream, one_colour
from dtqs.processors.video.geometry import Size, VideoFrame
from dtqs.processors.video.payload import Position, VideoOutput, VideoWatermark
from dtqs.processors.video.video_info import Picture

_ACROSS = {"left": "min({margin},(W-w)/2)", "centre": "(W-w)/2", "right": "W-w-min({margin},(W-w)/2)"}
_DOWN = {"top": "min({margin},(H-h)/2)", "middle": "(H-h)/2", "bottom": "H-h-min({margin},(H-h)/2)"}
_SAME_SHAPE = 0.02
"""Proportions that differ by less count as equal: some videos store 1088 lines for 1080."""
_MIDDLE = "(ow-iw)/2", "(oh-ih)/2"


def picture(stream: Stream, frame: VideoFrame, spec: VideoOutput, source: Picture, surface: Surface) -> Stream:
    """Deinterlace, crop, convert, scale and pad, in this order. If the frame size changes, later frames get bars."""
    colour, ratio = source.colour, source.width / source.height
    stream = stream.filter("setparams", **colour.tags())
    needs_tonemap = (
        colour.is_hdr
        or not colour.is_scalable
        or (colour.is_wide and (surface.colour.is_rgb or surface.colour == BT709))
    )
    if is_simple := not (spec.deinterlace or frame.crop or needs_tonemap or colour.has_alpha):
        stream = _letterbox(stream, frame.scaled, ratio, conversion(colour, surface.colour), surface.pixels)
    else:
        same = {} if colour.is_rgb else {"in_range": colour.range, "out_range": colour.range}
        stream = _letterbox(stream, (source.width, source.height) if frame.crop else source.turned, ratio, same)
        if spec.deinterlace:
            stream = stream.filter("bwdif", mode="send_frame")
        if crop := frame.crop:
            stream = crop_to(stream, (crop.width, crop.height), (crop.x, crop.y))
    if needs_tonemap:
        stream, colour = _tonemap(stream, colour)
    if colour.has_alpha:
        stream, colour = _blend_alpha(
            stream, colour, frame.scaled, None if surface.has_alpha else spec.background or "#000000"
        )
    if not is_simple:
        stream = _convert(stream, frame.scaled, colour, surface)
    stream = stream.filter("setsar", "1").filter("setparams", **surface.colour.tags())
    return filters.constant_rate(_crop_and_pad(stream, frame, spec.background, surface), spec.fps)


def shrink(stream: Stream, frame: VideoFrame, surface: Surface) -> Stream:
    """Scale finished frames to a smaller size."""
    return _crop_and_pad(
        _convert(stream, frame.scaled, surface.colour, surface).filter("setsar", "1"), frame, None, surface
    )


def add_watermark(stream: Stream, mark: Stream, watermark: VideoWatermark, surface: Surface) -> Stream:
    """Lay a watermark, which already has its final size, over the frames."""
    x, y = overlay_position(watermark.position, watermark.margin)
    return _overlay(stream, mark.filter("format", "gbrap"), (x, y), surface)


def add_subtitles(stream: Stream, name: str, start_seconds: float, surface: Surface) -> Stream:
    """Draw subtitles into the frames, in the subtitles' own colours."""
    colour = surface.colour
    if colour.is_rgb or colour.scale_name == "bt601":
        return filters.burn_subtitles(stream, name, start_seconds)
    # ffmpeg's drawing filters know only the matrix BT.601 and have no option for another: on BT.709, red becomes orange
    stream = stream.filter("scale", **conversion(colour, SRGB)).filter(
        "format", "gbrap" if surface.has_alpha else "gbrp"
    )
    stream = filters.burn_subtitles(stream, name, start_seconds)
    stream = stream.filter("scale", **conversion(SRGB, colour)).filter("format", surface.pixels)
    return stream.filter("setparams", **colour.tags())


def for_jpeg(stream: Stream) -> Stream:
    """Convert to the colours of JFIF: BT.601, full range."""
    return stream.filter("scale", out_color_matrix="bt601", out_range="pc").filter("format", "yuvj420p")


def palette(stream: Stream) -> Stream:
    """Choose the 256 colours of a GIF for this video, as one image."""
    # ffmpeg counts the colour of a pixel when another one replaces it: without a further frame, the last scene has none
    stream = stream.filter("tpad", stop=1, color="0x010203")
    return stream.filter("palettegen", stats_mode="diff")


def limited_to(stream: Stream, colours: Stream) -> Stream:
    """Reduce to the colours of a palette."""
    return ffmpeg.filter([stream, colours], "paletteuse")


def overlay_position(position: Position, margin: int) -> tuple[str, str]:
    """Return the expressions for x and y of an overlay. The margin shrinks if there is too little room."""
    parts = position.split("-")
    across = next((part for part in parts if part in ("left", "right")), "centre")
    down = next((part for part in parts if part in ("top", "bottom")), "middle")
    return _ACROSS[across].format(margin=margin), _DOWN[down].format(margin=margin)


def crop_to(stream: Stream, size: tuple[int, int], at: tuple[Any, Any]) -> Stream:
    return stream.filter("crop", *size, *at, exact=1)


def _letterbox(stream: Stream, size: Size, ratio: float, colours: dict[str, str], pixels: str | None = None) -> Stream:
    """Scale each frame to one size; frames of other proportions get bars. Both filters check the size of each frame."""
    is_same = f"lt(abs(dar/{ratio:.6f}-1),{_SAME_SHAPE})"
    width = f"if({is_same},{size[0]},max(2,2*round({size[0]}*min(1,dar/{ratio:.6f})/2)))"
    height = f"if({is_same},{size[1]},max(2,2*round({size[1]}*min(1,{ratio:.6f}/dar)/2)))"
    stream = stream.filter("scale", width, height, eval="frame", **colours)
    if pixels:
        stream = stream.filter("format", pixels)
    return stream.filter("pad", *size, *_MIDDLE, eval="frame", color="black")


def _convert(stream: Stream, size: Size, colour: Colour, surface: Surface) -> Stream:
    return stream.filter("scale", *size, **conversion(colour, surface.colour)).filter("format", surface.pixels)


def _tonemap(stream: Stream, colour: Colour) -> tuple[Stream, Colour]:
    """Map wide colours and a high dynamic range to the range of ordinary screens."""
    given = {"tin": colour.transfer, "pin": colour.primaries, "rin": colour.range}
    given = given if colour.is_rgb else {**given, "min": colour.matrix}
    bright = {"npl": 100} if colour.is_hdr else {}
    letter = "a" if colour.has_alpha else ""
    stream = (
        stream.filter("zscale", **given, t="linear", **bright)
        .filter("format", f"gbr{letter}pf32le")
        .filter("zscale", p="bt709")
    )
    if colour.is_hdr:
        stream = stream.filter("tonemap", tonemap="hable", desat=0)
    if colour.has_alpha:
        return stream.filter("zscale", t="bt709").filter("format", "gbrap"), replace(SRGB, has_alpha=True)
    return stream.filter("zscale", t="bt709", m="bt709", r="tv").filter("format", "yuv444p"), BT709


def _blend_alpha(stream: Stream, colour: Colour, size: Size, background: str | None) -> tuple[Stream, Colour]:
    """Scale transparent frames without their hidden colours, and lay them on a background; None keeps transparency."""
    stream = stream.filter("scale", **conversion(colour, replace(SRGB, has_alpha=True))).filter("format", "gbrap")
    stream = stream.filter("premultiply", inplace=1).filter("scale", *size).filter("format", "gbrap")
    if background is None:
        return stream.filter("unpremultiply", inplace=1), replace(SRGB, has_alpha=True)
    if background == "#000000":
        return stream.filter("format", "gbrp"), SRGB
    halves = stream.filter_multi_output("split")
    red, green, blue = bytes.fromhex(background[1:])
    ground = halves[0].filter("format", "gbrp").filter("lutrgb", r=red, g=green, b=blue)
    # ffmpeg's overlay subtracts 16 from each premultiplied colour
    return ffmpeg.filter([ground, halves[1].filter("unpremultiply", inplace=1)], "overlay", format="gbrp"), SRGB


def _crop_and_pad(stream: Stream, frame: VideoFrame, background: str | None, surface: Surface) -> Stream:
    if frame.middle:
        stream = crop_to(stream, frame.middle, ("(iw-ow)/2", "(ih-oh)/2"))
    if not frame.padded:
        return stream
    background = background or "#000000"
    is_grey = background[1:3] == background[3:5] == background[5:7]
    if is_grey or surface.colour.is_rgb:
        return stream.filter("pad", *frame.padded, *_MIDDLE, color=_hex(background))
    stream = stream.filter("pad", *frame.padded, *_MIDDLE)
    inner, outer = frame.middle or frame.scaled, frame.padded
    # ffmpeg's drawing filters know only one matrix: the bars are made of red, green and blue, and then converted
    for axis in (0, 1):
        first, second = (outer[axis] - inner[axis]) // 2, (outer[axis] - inner[axis] + 1) // 2
        for at, width in ((0, first), (outer[axis] - second, second)):
            if not width:
                continue
            size, place = list(outer), ["0", "0"]
            size[axis], place[axis] = width, str(at)
            bar = one_colour(_hex(background), (size[0], size[1]), 1 + (at > 0))
            stream = _overlay(stream, bar, (place[0], place[1]), surface)
    return stream


def _overlay(stream: Stream, above: Stream, at: tuple[str, str], surface: Surface) -> Stream:
    """Lay an RGB stream over the frames, converted to their colours."""
    if surface.colour.is_rgb:
        return stream.overlay(above, x=at[0], y=at[1], format="gbrp")
    above = above.filter("scale", **conversion(SRGB, surface.colour)).filter("format", "yuva420p")
    return stream.overlay(above, x=at[0], y=at[1], format="yuv420")


def _hex(colour: str) -> str:
    return f"0x{colour[1:]}"
