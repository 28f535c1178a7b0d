"""Opens a JPEG XL with libjxl; of an animation, the first frame. Imported with the first one: NumPy is large."""

from typing import Any

import numpy as np
import pylibjxl
from PIL import Image
from PIL.ImageFile import ImageFile

from dtqs.processors.image.jxl_header import read_header

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class JxlFile(ImageFile):
    """One image, which libjxl turns upright."""

    format = "JPEG XL"

    def _open(self) -> None:
        assert self.fp is not None
        self._data = self.fp.read()
        header = read_header(self._data)
        facts = pylibjxl.probe(self._data)
        self._size, self._mode = (facts["width"], facts["height"]), _MODES.get(facts["channels"], "RGB")
        if header.cicp:
            self.info["cicp"] = header.cicp
        self._animated, self._decoded, self.tile = facts["have_animation"], False, []

    def load(self) -> Any:
        if not self._decoded:
            with pylibjxl.JXL(threads=1, pool_size=1) as library:  # there is one worker per core already
                pixels, boxes = library.decode(self._data, metadata=True)
                if self._animated:  # reading the metadata has moved on to the last frame
                    pixels = library.decode(self._data)
            pixels = np.ascontiguousarray(pixels)
            self._mode = _MODES[pixels.shape[2] if pixels.ndim == 3 else 1]
            self._size = pixels.shape[1], pixels.shape[0]
            self.im = Image.frombytes(self._mode, self._size, pixels.tobytes()).im
            self._keep(boxes)
            self._decoded, self._data = True, b""
        return Image.Image.load(self)

    def _keep(self, boxes: dict[str, bytes]) -> None:
        """Keep the profile and the metadata, without the orientation, which is already applied."""
        self.info |= {name: boxes[key] for name, key in (("icc_profile", "icc"), ("xmp", "xmp")) if boxes.get(key)}
        if data := boxes.get("exif"):
            exif = Image.Exif()
            exif.load(data[4:] if data[4:8] in (b"II*\0", b"MM\0*") else data)
            exif.pop(0x0112, None)
            self.info["exif"] = exif.tobytes()
