"""JPEGs that need more bytes than pixels. Pillow gives their writer too small a buffer."""

import io
import random

import pytest
from PIL import Image, ImageFile

from dtqs.processors.image import jpeg

BLOCK = ImageFile.MAXBLOCK
NOISE = bytes(255 * (level & 1) for level in random.Random(1).randbytes(160_000))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("size", [(200, 200), (9000, 4)])
def test_white_noise_is_written(mode: str, size: tuple[int, int]) -> None:
    picture = Image.frombytes(mode, size, NOISE[: size[0] * size[1] * len(Image.new(mode, (1, 1)).getbands())])
    options = {"quality": 100, "subsampling": "4:4:4", "optimize": True}
    for more in (
        {"progressive": True},
        {"progressive": False},
        {"progressive": True, "exif": b"Exif\0\0" + NOISE[:65000]},
    ):
        data = jpeg.save(picture, options | more).getvalue()
        with Image.open(io.BytesIO(data)) as made:
            made.load()
            assert (made.size, made.mode) == (size, mode)
    assert ImageFile.MAXBLOCK == BLOCK
    assert len(data) <= jpeg._room(picture, options | more)
