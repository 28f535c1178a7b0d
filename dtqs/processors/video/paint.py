"""The picture on its way into an output, as a graph of filters: cut, converted in its colours, scaled, padded, marked. Each step says its colours."""

from dataclasses import replace
from typing import Any

import ffmpeg

from dtqs.processors.video import filters
from dtqs.processors.video.colour import BT709, SRGB, Colour, Surface, conversion
from dtqs.processors.video.command import Stream, one_colour
from dtqs.processors.video.film import Picture
from dtqs.processors.video.geometry import Size, VideoFrame
from dtqs.processors.video.payload import Position, VideoOutput, VideoWatermark

_ACROSS = {"left": "{margin}", "centre": "(W-w)/2", "right": "W-w-{margin}"}
_DOWN = {"top": "{margin}", "middle": "(H-h)/2", "bottom": "H-h-{margin}"}
_SAME_SHAPE = 0.02
"""Proportions that differ by less are the same: 1088 lines stand for 1080."""
_MIDDLE = "(ow-iw)/2", "(oh-ih)/2"


def picture(stream: Stream, frame: VideoFrame, asked: VideoOutput, source: Picture, surface: Surface) -> Stream:
    """Deinterlace, crop, convert, scale and pad, in this order. A picture whose size changes on the way is letterboxed."""
    colour, ratio = source.colour, source.width / source.height
    stream = stream.filter("setparams", **colour.tags())
    is_converted = (
        colour.is_hdr
        or not colour.is_scalable
        or (colour.is_wide and (surface.colour.is_rgb or surface.colour == BT709))
    )
    if is_simple := not (asked.deinterlace or frame.crop or is_converted or colour.has_alpha):
        stream = _boxed(stream, frame.scaled, ratio, conversion(colour, surface.colour), surface.pixels)
    else:
        same = {} if colour.is_rgb else {"in_range": colour.range, "out_range": colour.range}
        stream = _boxed(stream, (source.width, source.height) if frame.crop else source.turned, ratio, same)
        if asked.deinterlace:
            stream = stream.filter("bwdif", mode="send_frame")
        if crop := frame.crop:
            stream = cut_out(stream, (crop.width, crop.height), (crop.x, crop.y))
    if is_converted:
        stream, colour = _mapped(stream, colour)
    if colour.has_alpha:
        stream, colour = _blended(
            stream, colour, frame.scaled, None if surface.has_alpha else asked.background or "#000000"
        )
    if not is_simple:
        stream = _converted(stream, frame.scaled, colour, surface)
    stream = stream.filter("setsar", "1").filter("setparams", **surface.colour.tags())
    return filters.beat(_finished(stream, frame, asked.background, surface), asked.fps)


def smaller(stream: Stream, frame: VideoFrame, surface: Surface) -> Stream:
    """Bring a finished picture to a smaller size."""
    return _finished(
        _converted(stream, frame.scaled, surface.colour, surface).filter("setsar", "1"), frame, None, surface
    )


def marked(stream: Stream, mark: Stream, watermark: VideoWatermark, surface: Surface) -> Stream:
    """Lay a picture over it, which has its final size already."""
    x, y = place_of(watermark.position, watermark.margin)
    return _over(stream, mark.filter("format", "gbrap"), (x, y), surface)


def lettered(stream: Stream, name: str, start_seconds: float, surface: Surface) -> Stream:
    """Burn in subtitles, which have their own colours whatever the picture's are."""
    colour = surface.colour
    if colour.is_rgb or colour.scale_name == "bt601":
        return filters.subtitled(stream, name, start_seconds)
    # ffmpeg's filters that draw know one matrix only, BT.601, and no option says another: drawn so, red on BT.709 is orange
    stream = stream.filter("scale", **conversion(colour, SRGB)).filter(
        "format", "gbrap" if surface.has_alpha else "gbrp"
    )
    stream = filters.subtitled(stream, name, start_seconds)
    stream = stream.filter("scale", **conversion(SRGB, colour)).filter("format", surface.pixels)
    return stream.filter("setparams", **colour.tags())


def for_jpeg(stream: Stream) -> Stream:
    """Bring a picture to the colours of JFIF: BT.601, full range."""
    return stream.filter("scale", out_color_matrix="bt601", out_range="pc").filter("format", "yuvj420p")


def limited_palette(stream: Stream) -> Stream:
    """The 256 colours of a GIF, chosen for this film."""
    halves = stream.filter_multi_output("split")
    return ffmpeg.filter([halves[0], halves[1].filter("palettegen", stats_mode="diff")], "paletteuse")


def place_of(position: Position, margin: int) -> tuple[str, str]:
    """Return the two expressions of an overlay's place."""
    words = position.split("-")
    across = next((word for word in words if word in ("left", "right")), "centre")
    down = next((word for word in words if word in ("top", "bottom")), "middle")
    return _ACROSS[across].format(margin=margin), _DOWN[down].format(margin=margin)


def cut_out(stream: Stream, size: tuple[int, int], at: tuple[Any, Any]) -> Stream:
    return stream.filter("crop", *size, *at, exact=1)


def _boxed(stream: Stream, size: Size, ratio: float, colours: dict[str, str], pixels: str | None = None) -> Stream:
    """Bring each picture into one size. One of other proportions gets bars; both filters look at each picture anew."""
    is_same = f"lt(abs(dar/{ratio:.6f}-1),{_SAME_SHAPE})"
    width = f"if({is_same},{size[0]},max(2,2*round({size[0]}*min(1,dar/{ratio:.6f})/2)))"
    height = f"if({is_same},{size[1]},max(2,2*round({size[1]}*min(1,{ratio:.6f}/dar)/2)))"
    stream = stream.filter("scale", width, height, eval="frame", **colours)
    if pixels:
        stream = stream.filter("format", pixels)
    return stream.filter("pad", *size, *_MIDDLE, eval="frame", color="black")


def _converted(stream: Stream, size: Size, colour: Colour, surface: Surface) -> Stream:
    return stream.filter("scale", *size, **conversion(colour, surface.colour)).filter("format", surface.pixels)


def _mapped(stream: Stream, colour: Colour) -> tuple[Stream, Colour]:
    """Bring wide colours and a high dynamic range to what every screen shows."""
    said = {"tin": colour.transfer, "pin": colour.primaries, "rin": colour.range}
    said = said if colour.is_rgb else {**said, "min": colour.matrix}
    bright = {"npl": 100} if colour.is_hdr else {}
    letter = "a" if colour.has_alpha else ""
    stream = (
        stream.filter("zscale", **said, t="linear", **bright)
        .filter("format", f"gbr{letter}pf32le")
        .filter("zscale", p="bt709")
    )
    if colour.is_hdr:
        stream = stream.filter("tonemap", tonemap="hable", desat=0)
    if colour.has_alpha:
        return stream.filter("zscale", t="bt709").filter("format", "gbrap"), replace(SRGB, has_alpha=True)
    return stream.filter("zscale", t="bt709", m="bt709", r="tv").filter("format", "yuv444p"), BT709


def _blended(stream: Stream, colour: Colour, size: Size, background: str | None) -> tuple[Stream, Colour]:
    """Scale what is transparent without its hidden colours, and lay it on a background; None: it stays transparent."""
    stream = stream.filter("scale", **conversion(colour, replace(SRGB, has_alpha=True))).filter("format", "gbrap")
    stream = stream.filter("premultiply", inplace=1).filter("scale", *size).filter("format", "gbrap")
    if background is None:
        return stream.filter("unpremultiply", inplace=1), replace(SRGB, has_alpha=True)
    if background == "#000000":
        return stream.filter("format", "gbrp"), SRGB
    halves = stream.filter_multi_output("split")
    red, green, blue = bytes.fromhex(background[1:])
    ground = halves[0].filter("format", "gbrp").filter("lutrgb", r=red, g=green, b=blue)
    # ffmpeg's overlay of premultiplied colours takes 16 from each
    return ffmpeg.filter([ground, halves[1].filter("unpremultiply", inplace=1)], "overlay", format="gbrp"), SRGB


def _finished(stream: Stream, frame: VideoFrame, background: str | None, surface: Surface) -> Stream:
    if frame.middle:
        stream = cut_out(stream, frame.middle, ("(iw-ow)/2", "(ih-oh)/2"))
    if not frame.padded:
        return stream
    background = background or "#000000"
    is_grey = background[1:3] == background[3:5] == background[5:7]
    if is_grey or surface.colour.is_rgb:
        return stream.filter("pad", *frame.padded, *_MIDDLE, color=_hex(background))
    stream = stream.filter("pad", *frame.padded, *_MIDDLE)
    inner, outer = frame.middle or frame.scaled, frame.padded
    # ffmpeg's filters that draw know one matrix only: the bars are made of red, green and blue, and converted
    for axis in (0, 1):
        first, second = (outer[axis] - inner[axis]) // 2, (outer[axis] - inner[axis] + 1) // 2
        for at, width in ((0, first), (outer[axis] - second, second)):
            if width:
                size, place = list(outer), ["0", "0"]
                size[axis], place[axis] = width, str(at)
                bar = one_colour(_hex(background), (size[0], size[1]), 1 + (at > 0))
                stream = _over(stream, bar, (place[0], place[1]), surface)
    return stream


def _over(stream: Stream, above: Stream, at: tuple[str, str], surface: Surface) -> Stream:
    """Lay red, green and blue over the picture, in the picture's own colours."""
    if surface.colour.is_rgb:
        return stream.overlay(above, x=at[0], y=at[1], format="gbrp")
    above = above.filter("scale", **conversion(SRGB, surface.colour)).filter("format", "yuva420p")
    return stream.overlay(above, x=at[0], y=at[1], format="yuv420")


def _hex(colour: str) -> str:
    return f"0x{colour[1:]}"
