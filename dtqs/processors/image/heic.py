"""Opens the primary image of a HEIC with libheif. Imported with the first HEIC."""

from typing import Any

from pi_heif import HeifFile, options
from pi_heif.misc import set_orientation
from PIL import Image
from PIL.ImageFile import ImageFile

from dtqs.processors.image.avif import HEAD_BYTES, check_coded_size, properties

_NCLX = ("color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag")


class HeicFile(ImageFile):
    """One image. libheif applies the file's rotation, mirroring and crop, so the EXIF orientation is dropped."""

    format = "HEIC"

    def _open(self) -> None:
        assert self.fp is not None
        start = self.fp.tell()
        stated = properties(self.fp.read(HEAD_BYTES)).get(b"ispe", b"")
        self.fp.seek(start)
        check_coded_size((int.from_bytes(stated[:4], "big"), int.from_bytes(stated[4:], "big")))
        options.DECODE_THREADS = 1  # there is one worker per core already
        options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
        container = HeifFile(self.fp, convert_hdr_to_8bit=True, hdr_to_16bit=True, remove_stride=False)
        self._picture = container[container.primary_index]
        self._size, self._mode = self._picture.size, self._picture.mode.replace("a", "A")
        found = dict(self._picture.info)
        set_orientation(found)
        self.info = {name: found[name] for name in ("exif", "xmp", "icc_profile") if found.get(name)}
        if code := found.get("nclx_profile"):
            self.info["cicp"] = tuple(int(code[name]) for name in _NCLX)
        self.tile = []

    def load(self) -> Any:
        if self._im is None:
            data = self._picture.data
            mode, self._size = self._picture.mode, self._picture.size
            made = Image.frombytes(mode, self._size, data, "raw", mode, self._picture.stride)
            made = made.convert(self._mode) if mode != self._mode else made
            self.im = made.im
        return Image.Image.load(self)
