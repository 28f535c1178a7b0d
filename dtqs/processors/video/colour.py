"""The colours of a picture as values: what a source says or leaves out, and what an output becomes; pure. The filters stand in paint.py."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

_HDR = frozenset({"smpte2084", "arib-std-b67"})
_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr", "mono", "bayer")
_ALPHA = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "ayuv", "vuya")
_PALETTES = frozenset({"png", "apng", "gif"})
"""Codecs whose palettes may have transparent colours."""
_UNSAID = frozenset({"", "unknown", "unspecified", "reserved", "None"})
_SCALE_NAMES = {
    "bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601", "fcc": "fcc", "smpte240m": "smpte240m", "bt2020nc": "bt2020",
}  # fmt: skip
"""The scale filter's names of matrices; it knows no others."""
_USUAL = frozenset({"bt709", "smpte170m", "bt470bg"})
"""Every player knows these, so a film may keep them."""
_WIDE = frozenset({"bt2020", "smpte431", "smpte432", "film", "smpte428"})
_OF_MATRIX = {"smpte170m": "smpte170m", "bt470bg": "bt470bg", "bt2020nc": "bt2020", "bt2020c": "bt2020"}
_HD_LINES, _HD_WIDTH = 720, 1280


@dataclass(frozen=True, slots=True)
class Colour:
    """How numbers become colours, by ffmpeg's names; matrix `gbr`: they are red, green and blue. Nothing is left open."""

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
        """It has colours that an ordinary screen cannot show."""
        return self.is_hdr or self.primaries in _WIDE

    @property
    def is_scalable(self) -> bool:
        """The scale filter can convert it."""
        return self.is_rgb or self.matrix in _SCALE_NAMES

    @property
    def scale_name(self) -> str:
        return _SCALE_NAMES[self.matrix]

    def tags(self) -> dict[str, str]:
        """Return the options of `setparams` that say this of each picture."""
        tags = {"range": self.range, "color_primaries": self.primaries, "color_trc": self.transfer}
        return tags if self.is_rgb else {**tags, "colorspace": self.matrix}


BT709 = Colour("bt709", "tv", "bt709", "bt709")
SRGB = Colour("gbr", "pc", "bt709", "iec61966-2-1")
"""A picture without a profile, as everybody reads it."""


@dataclass(frozen=True, slots=True)
class Surface:
    """The form in which an output is drawn: its colours and its pixels; `has_alpha`: what is transparent stays so."""

    colour: Colour
    pixels: str

    @property
    def has_alpha(self) -> bool:
        return self.colour.has_alpha


def film_surface(source: Colour, *, keeps_alpha: bool = False) -> Surface:
    """Return how a film is drawn: a usual matrix stays as it is, all else becomes BT.709."""
    kept = BT709
    if source.matrix in _USUAL and not source.is_hdr:
        kept = replace(source, range="tv", has_alpha=False)
    if keeps_alpha and source.has_alpha:
        return Surface(replace(kept, has_alpha=True), "yuva420p")
    return Surface(kept, "yuv420p")


def picture_surface(source: Colour, *, keeps_alpha: bool = False) -> Surface:
    """Return how a picture is drawn."""
    return (
        Surface(replace(SRGB, has_alpha=True), "gbrap") if keeps_alpha and source.has_alpha else Surface(SRGB, "gbrp")
    )


def read(stream: Mapping[str, Any]) -> Colour:
    """Judge a stream by what ffprobe says of it. Players take untagged films for BT.709 from 720 lines on, and for BT.601 below."""
    pixels, codec = str(stream.get("pix_fmt", "")), str(stream.get("codec_name", ""))
    alpha_beside = _tag(stream, "alpha_mode") == "1" and codec in ("vp8", "vp9")
    has_alpha = alpha_beside or pixels.startswith(_ALPHA) or (pixels == "pal8" and codec in _PALETTES)
    primaries, transfer = _said(stream, "color_primaries"), _said(stream, "color_transfer")
    if pixels.startswith(_RGB):
        return Colour("gbr", "pc", primaries or "bt709", transfer or "bt709", has_alpha)
    matrix = _said(stream, "color_space")
    if matrix in ("", "gbr"):
        matrix = _guessed(stream, primaries, transfer)
    said_range = _said(stream, "color_range")
    is_full = said_range == "pc" or (
        not said_range and (pixels.startswith("yuvj") or (codec in _PALETTES and not pixels.startswith("yuv")))
    )
    usual = "bt709" if codec == "mjpeg" else _OF_MATRIX.get(matrix, "bt2020" if transfer in _HDR else "bt709")
    curve = "smpte170m" if matrix in ("smpte170m", "bt470bg") else "bt709"
    return Colour(matrix, "pc" if is_full else "tv", primaries or usual, transfer or curve, has_alpha)


def conversion(source: Colour, target: Colour) -> dict[str, str]:
    """Return the options of `scale` that bring colours from one form to the other."""
    options: dict[str, str] = {}
    if not source.is_rgb:
        options["in_range"] = source.range
    if not target.is_rgb:
        options["out_range"] = target.range
    if source.is_rgb and target.is_rgb:
        return {}
    # without a matrix the filter passes on what has the right size and form already
    if source.is_rgb or target.is_rgb or source.scale_name != target.scale_name:
        if not source.is_rgb:
            options["in_color_matrix"] = source.scale_name
        if not target.is_rgb:
            options["out_color_matrix"] = target.scale_name
    return options


def _guessed(stream: Mapping[str, Any], primaries: str, transfer: str) -> str:
    if transfer in _HDR or primaries == "bt2020":
        return "bt2020nc"
    if primaries in ("smpte170m", "bt470bg"):
        return primaries
    height, width = stream.get("height"), stream.get("width")
    is_hd = isinstance(height, int) and isinstance(width, int) and (height >= _HD_LINES or width >= _HD_WIDTH)
    return "bt709" if is_hd or primaries == "bt709" else "smpte170m"


def _said(stream: Mapping[str, Any], name: str) -> str:
    said = str(stream.get(name, ""))
    return "" if said in _UNSAID else said


def _tag(stream: Mapping[str, Any], name: str) -> str:
    tags = stream.get("tags", {})
    return (
        next((str(value) for key, value in tags.items() if key.lower() == name), "") if isinstance(tags, dict) else ""
    )
