"""The watermark of a video: its image is read as the sources of `image` tasks are."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from dtqs.processors.video.mark import make
from tests.support.fix_pictures import GifPart, chunk, gif, png

HIDDEN, SHOWN = struct.pack(">HHH", 1, 2, 3), struct.pack(">HHH", 0xFFFF, 0, 0)
HALVES = HIDDEN * 20 + SHOWN * 20
CLEAR, RED = (0, 0, 0, 0), (255, 0, 0, 255)
INK = chunk(b"PLTE", bytes((255, 0, 0)))
MARKS = {
    # the first frame covers the middle alone
    "gif-first-frame-smaller": (
        gif((40, 40), [GifPart(10, 10, 20, 20, 1), GifPart(0, 0, 10, 10, 2)]),
        (2, 2),
        (20, 20),
    ),
    "png16-trns": (png((40, 40), 16, 2, HALVES, chunk(b"tRNS", HIDDEN)), (5, 5), (35, 5)),
    "png-bad-crc": (
        png((40, 40), 8, 3, b"\0" * 40, chunk(b"tEXt", b"Comment\0x", wrong=1), INK, chunk(b"tRNS", b"\xff")),
        None,
        (5, 5),
    ),
}


@pytest.mark.parametrize("name", MARKS)
def test_the_image_looks_as_in_a_browser(name: str, tmp_path: Path) -> None:
    data, clear, red = MARKS[name]
    path = tmp_path / "mark.png"
    assert make(io.BytesIO(data), str(path), (40, 40), 1.0) == ""
    with Image.open(path) as made:
        assert (made.size, made.mode) == ((40, 40), "RGBA")
        assert made.getpixel(red) == RED
        assert clear is None or made.getpixel(clear)[3] == 0  # type: ignore[index]


def test_it_is_upright_and_fits() -> None:
    image, exif, data = Image.new("RGB", (40, 20), "red"), Image.Exif(), io.BytesIO()
    image.paste((0, 0, 255), (0, 0, 20, 20))
    exif[0x0112] = 6
    image.save(data, "PNG", exif=exif)
    path = io.BytesIO()
    assert make(data, path, (10, 100), 0.5) == ""  # type: ignore[arg-type]
    with Image.open(path) as made:
        assert made.size == (10, 20)
        assert (made.getpixel((5, 2)), made.getpixel((5, 17))) == ((0, 0, 255, 128), (255, 0, 0, 128))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%!PS", "the watermark cannot be read as an image: it is a PostScript file; allowed are PNG, JPEG, WebP"),
        (b"II*\0" + b"\0" * 8, "it is a TIFF image; allowed are"),
        (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0"),
            "the watermark cannot be read as an image: the file begins like",
        ),
        (png((9000, 5000), 1, 0, b"\0" * 1125), "9000 × 5000 pixels; allowed are 40000000"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_plain_words(data: bytes, words: str, tmp_path: Path) -> None:
    assert words in make(io.BytesIO(data), str(tmp_path / "mark.png"), (40, 40), 1.0)
    assert not (tmp_path / "mark.png").exists()
