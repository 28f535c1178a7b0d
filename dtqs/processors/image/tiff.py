"""Opens a TIFF with Pillow if it reads it correctly; if not (wide numbers, planes, inks with alpha), by its numbers.

Camera raws in the form of a TIFF are refused: their first page is a small preview.
"""

from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile
from PIL.TiffImagePlugin import OPEN_INFO, ImageFileDirectory_v2, TiffImageFile

from dtqs.processors.image.seldom import seldom

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, LAB = 0, 1, 2, 3, 5, 8
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, INKS: 4, LAB: 3}
_MODES = {(1, False): "L", (1, True): "LA", (3, False): "RGB", (3, True): "RGBA", (4, False): "CMYK", (4, True): "RGBA"}
_LOSSLESS = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
"""None, LZW, Deflate (twice), PackBits, LZMA and Zstandard: they decompress to bytes of any meaning."""
_MOST_SAMPLES = 64
_DEPTHS = {1: (8, 16, 32, 64), 2: (8, 16, 32, 64), 3: (16, 32, 64)}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL, _SAMPLES, _PLANES, _EXTRA, _FORMAT, _PROFILE = (
    *(256, 257, 258, 259, 262, 266, 277, 284, 338, 339, 34675),
)
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
_SUBFILE, _MAKE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 271, 330, 50706
_REDUCED = 1
_SENSOR = frozenset({32803, 34892})
"""The kinds of pixels of a sensor: with a filter of colours, and linear."""
_RAWS = {
    "nikon": "image/x-nikon-nef",
    "sony": "image/x-sony-arw",
    "pentax": "image/x-pentax-pef",
    "ricoh": "image/x-pentax-pef",
    "samsung": "image/x-samsung-srw",
    "hasselblad": "image/x-hasselblad-3fr",
    "kodak": "image/x-kodak-dcr",
    "epson": "image/x-epson-erf",
}
_ANY_RAW = "image/x-raw"


class CameraRaw(Exception):
    """The file is a camera raw, of this media type."""

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type


@dataclass(frozen=True, slots=True)
class Layout:
    """The tags that describe the numbers."""

    width: int
    height: int
    photometric: int
    bits: int
    format: int
    samples: int
    planes: bool
    alpha: int | None
    """Index of the sample with the opacity."""
    weighted: bool
    """Whether the colours are multiplied by the opacity."""

    @property
    def colours(self) -> int:
        return _COLOURS[self.photometric]

    @property
    def mode(self) -> str:
        return _MODES[self.colours, self.alpha is not None]


class NumbersFile(TiffImageFile):
    """A TIFF. Each page is read by Pillow or by its numbers."""

    def _open(self) -> None:
        self._is_first = True
        super()._open()

    def _setup(self) -> None:
        if self._is_first and (raw := _raw(self.tag_v2)):
            raise CameraRaw(raw)
        self._is_first = False
        self._layout = _layout(self.tag_v2)
        if self._layout is None:
            super()._setup()
            return
        width, height = self._layout.width, self._layout.height
        self._tile_size = width, height
        self._size = (height, width) if self.tag_v2.get(274) in (5, 6, 7, 8) else (width, height)
        self._mode, self.palette, self.use_load_libtiff = self._layout.mode, None, False
        self.tile = [ImageFile._Tile("numbers", (0, 0, width, height))]
        self.info.pop("icc_profile", None)
        if _PROFILE in self.tag_v2:
            self.info["icc_profile"] = self.tag_v2[_PROFILE]

    def load(self) -> Any:
        if self._layout is None or not self.tile:
            return super().load()
        numbers = seldom("dtqs.processors.image.tiff_numbers")
        profile = self.info.get("icc_profile")
        picture, used = numbers.picture(self.fp, self.tag_v2, self._layout, profile)
        if used:
            self.info.pop("icc_profile", None)
        self._im, self._mode, self.tile = picture.im, picture.mode, []
        self.load_end()
        return Image.Image.load(self)


def _raw(tags: ImageFileDirectory_v2) -> str | None:
    """Return the media type of a camera raw: a first page with a sensor's pixels, or a preview of a hidden picture."""
    is_dng = _DNG_VERSION in tags
    kind = tags.get(_SUBFILE, 0)
    reduced = isinstance(kind, int) and kind & _REDUCED
    preview = reduced and (is_dng or (_SUB_DIRECTORIES in tags and _MAKE in tags))
    if not preview and tags.get(_PHOTOMETRIC) not in _SENSOR:
        return None
    maker = str(tags.get(_MAKE, "")).lower()
    return "image/x-adobe-dng" if is_dng else next((kind for name, kind in _RAWS.items() if name in maker), _ANY_RAW)


def _layout(tags: ImageFileDirectory_v2) -> Layout | None:
    """Return the layout for reading the numbers; None if Pillow reads them correctly, or the layout is unsupported."""
    bits, format = _first(tags.get(_BITS, (1,))), _first(tags.get(_FORMAT, (UNSIGNED,)))
    photometric, samples = tags.get(_PHOTOMETRIC, 0), tags.get(_SAMPLES, 1)
    extra, planes = tags.get(_EXTRA, ()), tags.get(_PLANES, 1) == 2
    if tags.get(_COMPRESSION, 1) not in _LOSSLESS or photometric not in _COLOURS or bits not in _DEPTHS.get(format, ()):
        return None
    if len({*tags.get(_BITS, (1,))}) > 1 or not 1 <= samples <= _MOST_SAMPLES or samples < _COLOURS[photometric]:
        return None
    by_pillow = (tags.prefix, photometric, (format,), tags.get(_FILL, 1), (bits,) * samples, tuple(extra)) in OPEN_INFO
    small = bits == 8 or (bits == 16 and format == UNSIGNED and not planes and photometric != WHITE_IS_ZERO)
    if by_pillow and small:
        return None
    colours = _COLOURS[photometric]
    alpha = next(
        (colours + at for at, meaning in enumerate(extra) if meaning in (1, 2) and colours + at < samples), None
    )
    if not extra and samples == colours + 1 and photometric == RGB:
        alpha = colours
    weighted = alpha is not None and bool(extra) and extra[alpha - colours] == 1
    width, height = tags[_WIDTH], tags[_HEIGHT]
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        return None
    return Layout(width, height, photometric, bits, format, samples, planes, alpha, weighted)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value
