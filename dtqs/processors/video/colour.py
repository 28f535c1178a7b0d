"""The colours of a source and of an output, as values; pure. `paint` has the filters."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

_HDR = frozenset({"smpte2084", "arib-std-b67"})
_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr", "mono", "bayer")
_ALPHA = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "ayuv", "vuya")
_PALETTES = frozenset({"png", "apng", "gif"})
"""Codecs whose palettes may have transparent colours."""
_UNSPECIFIED = frozenset({"", "unknown", "unspecified", "reserved", "None"})
_SCALE_NAMES = {
    "bt709": "bt709",
    "smpte170m": "bt601",
    "bt470bg": "bt601",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
}
"""The scale filter's names of all matrices that it knows."""
_KEPT_MATRICES = frozenset({"bt709", "smpte170m", "bt470bg"})
"""Every player knows these, so a video keeps them."""
_WIDE = frozenset({"bt2020", "smpte431", "smpte432", "film", "smpte428"})
_OF_MATRIX = {"smpte170m": "smpte170m", "bt470bg": "bt470bg", "bt2020nc": "bt2020", "bt2020c": "bt2020"}
_HD_LINES, _HD_WIDTH = 720, 1280


@dataclass(frozen=True, slots=True)
class Colour:
    """The full description of a colour format, with ffmpeg's names. The matrix `gbr` means red, green and blue."""

    matrix: str
    range: str
    primaries: str
    transfer: str
    has_alpha: bool = False

    @property
    def is_rgb(self) -> bool:
        return self.matrix == "gbr"

    @property
    def is_hdr(self) -> bool:
        return self.transfer in _HDR

    @property
    def is_wide(self) -> bool:
        """Tell whether it has colours that an ordinary screen cannot show."""
        return self.is_hdr or self.primaries in _WIDE

    @property
    def is_scalable(self) -> bool:
        """Tell whether the scale filter can convert it."""
        return self.is_rgb or self.matrix in _SCALE_NAMES

    @property
    def scale_name(self) -> str:
        return _SCALE_NAMES[self.matrix]

    def tags(self) -> dict[str, str]:
        """Return the options of `setparams` that tag each frame with these colours."""
        tags = {"range": self.range, "color_primaries": self.primaries, "color_trc": self.transfer}
        return tags if self.is_rgb else {**tags, "colorspace": self.matrix}


BT709 = Colour("bt709", "tv", "bt709", "bt709")
SRGB = Colour("gbr", "pc", "bt709", "iec61966-2-1")
"""The usual meaning of an image without a colour profile."""


@dataclass(frozen=True, slots=True)
class Surface:
    """The colours and the pixel format of an output; `has_alpha`: it keeps transparency."""

    colour: Colour
    pixels: str

    @property
    def has_alpha(self) -> bool:
        return self.colour.has_alpha


def video_surface(source: Colour, *, keeps_alpha: bool = False) -> Surface:
    """Return the surface of a video: BT.709 and BT.601 are kept, all others become BT.709."""
    kept = BT709
    if source.matrix in _KEPT_MATRICES and not source.is_hdr:
        kept = replace(source, range="tv", has_alpha=False)
    if keeps_alpha and source.has_alpha:
        return Surface(replace(kept, has_alpha=True), "yuva420p")
    return Surface(kept, "yuv420p")


def image_surface(source: Colour, *, keeps_alpha: bool = False) -> Surface:
    """Return the surface of an image."""
    if keeps_alpha and source.has_alpha:
        return Surface(replace(SRGB, has_alpha=True), "gbrap")
    return Surface(SRGB, "gbrp")


def read(stream: Mapping[str, Any]) -> Colour:
    """Read a stream's colours from ffprobe's report.

    Like players, it treats untagged videos as BT.709 from 720 lines on, and as BT.601 below.
    """
    pixels, codec = str(stream.get("pix_fmt", "")), str(stream.get("codec_name", ""))
    alpha_beside = _tag(stream, "alpha_mode") == "1" and codec in ("vp8", "vp9")
    has_alpha = alpha_beside or pixels.startswith(_ALPHA) or (pixels == "pal8" and codec in _PALETTES)
    primaries, transfer = _tag_value(stream, "color_primaries"), _tag_value(stream, "color_transfer")
    if pixels.startswith(_RGB):
        return Colour("gbr", "pc", primaries or "bt709", transfer or "bt709", has_alpha)
    matrix = _tag_value(stream, "color_space")
    if matrix in ("", "gbr"):
        matrix = _guess_matrix(stream, primaries, transfer)
    tagged_range = _tag_value(stream, "color_range")
    is_full = tagged_range == "pc" or (
        not tagged_range and (pixels.startswith("yuvj") or (codec in _PALETTES and not pixels.startswith("yuv")))
    )
    default_primaries = (
        "bt709" if codec == "mjpeg" else _OF_MATRIX.get(matrix, "bt2020" if transfer in _HDR else "bt709")
    )
    default_transfer = "smpte170m" if matrix in ("smpte170m", "bt470bg") else "bt709"
    return Colour(
        matrix, "pc" if is_full else "tv", primaries or default_primaries, transfer or default_transfer, has_alpha
    )


def conversion(source: Colour, target: Colour) -> dict[str, str]:
    """Return the options of `scale` that convert colours."""
    options: dict[str, str] = {}
    if not source.is_rgb:
        options["in_range"] = source.range
    if not target.is_rgb:
        options["out_range"] = target.range
    if source.is_rgb and target.is_rgb:
        return {}
    # without a matrix the filter passes through frames that already have the right size and format
    if source.is_rgb or target.is_rgb or source.scale_name != target.scale_name:
        if not source.is_rgb:
            options["in_color_matrix"] = source.scale_name
        if not target.is_rgb:
            options["out_color_matrix"] = target.scale_name
    return options


def _guess_matrix(stream: Mapping[str, Any], primaries: str, transfer: str) -> str:
    if transfer in _HDR or primaries == "bt2020":
        return "bt2020nc"
    if primaries in ("smpte170m", "bt470bg"):
        return primaries
    height, width = stream.get("height"), stream.get("width")
    is_hd = isinstance(height, int) and isinstance(width, int) and (height >= _HD_LINES or width >= _HD_WIDTH)
    return "bt709" if is_hd or primaries == "bt709" else "smpte170m"


def _tag_value(stream: Mapping[str, Any], name: str) -> str:
    value = str(stream.get(name, ""))
    return "" if value in _UNSPECIFIED else value


def _tag(stream: Mapping[str, Any], name: str) -> str:
    tags = stream.get("tags", {})
    if not isinstance(tags, dict):
        return ""
    return next((str(value) for key, value in tags.items() if key.lower() == name), "")
