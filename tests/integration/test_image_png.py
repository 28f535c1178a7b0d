"""PNGs with broken chunks, and with a transparent colour of any depth."""

import io
import struct
import zlib

import pytest
from PIL import Image

from dtqs.errors import PermanentError
from tests.support.fix_images import Run, near, profile
from tests.support.fix_pictures import PNG_MAGIC, chunk, header, pixels, png

RED_ROW = b"\xff\0\0" * 60
PNG = {"format": "png"}


@pytest.mark.parametrize(
    "broken",
    [
        chunk(b"tEXt", b"Comment\0hello", wrong=1),
        chunk(b"gAMA", b"\0"),
        chunk(b"pHYs", b"\0\0"),
        chunk(b"sRGB", b""),
        chunk(b"tRNS", b"\0"),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5 << 20))),
        chunk(b"iTXt", b"\xff\xfe"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + bytes(5 << 20)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0XMP\0" + zlib.compress(bytes(5 << 20))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + b"nothing"),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(5 << 20))),
        chunk(b"iCCP", b"x\0\1" + b"nothing"),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(9 << 20))),
        chunk(b"acTL", b"\0\0"),
        chunk(b"prVt", b"anything", wrong=5),
    ],
)
def test_a_broken_ancillary_chunk_does_not_fail_the_image(run: Run, broken: bytes) -> None:
    result, (made,) = run(png((60, 40), 8, 2, RED_ROW, broken), PNG)
    assert near(made, (0.5, 0.5), "#ff0000")
    assert not result["source"]["has_alpha"]


def test_a_compressed_text_that_fits_is_kept(run: Run) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    data = png((60, 40), 8, 2, RED_ROW, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)))
    _, (made,) = run(data, {"format": "webp", "keep_metadata": True})
    assert made.info["xmp"] == xmp


def test_a_broken_chunk_behind_the_pixels_does_not_fail_the_image(run: Run) -> None:
    whole = png((60, 40), 8, 2, RED_ROW)[: -len(chunk(b"IEND", b""))]
    for end in (chunk(b"tEXt", b"x", wrong=1) + chunk(b"IEND", b""), chunk(b"tEXt", b"Comment\0hello")[:11], b""):
        _, (made,) = run(whole + end, PNG)
        assert near(made, (0.5, 0.5), "#ff0000")


def test_a_broken_critical_chunk_breaks_the_image(run: Run) -> None:
    packed, end = pixels(RED_ROW, 40), chunk(b"IEND", b"")
    size = struct.pack(">IIBBBBB", 60, 40, 8, 2, 0, 0, 0)
    for body in (
        chunk(b"IHDR", size, wrong=1) + chunk(b"IDAT", packed) + end,
        header((60, 40), 8, 2) + chunk(b"IDAT", packed, wrong=1) + end,
        header((60, 40), 8, 2) + chunk(b"IDAT", packed)[:-20],
    ):
        with pytest.raises(PermanentError, match="PNG image"):
            run(PNG_MAGIC + body, PNG)


def test_a_profile_longer_than_the_readers_limit_is_used(run: Run) -> None:
    long = profile("sRGB")
    data = png((60, 40), 8, 2, RED_ROW, chunk(b"iCCP", b"x\0\0" + zlib.compress(long + bytes((2 << 20) - len(long)))))
    result, (made,) = run(data, PNG)
    assert result["source"]["has_profile"]
    assert near(made, (0.5, 0.5), "#ff0000")


def _half(*values: int, depth: int) -> bytes:
    """Return a row of 64 samples: the first half has one value, the second half the other."""
    bits = "".join(format(value, f"0{depth}b") * 32 for value in values)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_found_at_every_depth(run: Run, depth: int) -> None:
    hidden, shown = (0x1234, 0x1235) if depth == 16 else (1, 0)
    data = png((64, 32), depth, 0, _half(hidden, shown, depth=depth), chunk(b"tRNS", struct.pack(">H", hidden)))
    result, (made,) = run(data, PNG)
    assert result["source"]["has_alpha"]
    assert [made.convert("RGBA").getpixel((x, 5))[3] for x in (5, 50)] == [0, 255]  # type: ignore[index]


def test_a_transparent_colour_of_16_bits_is_compared_in_all_bits(run: Run) -> None:
    hidden, near_it = (0x1234, 0x5678, 0x9ABC), (0x1234, 0x5678, 0x9ABD)
    row = struct.pack(">HHH", *hidden) * 32 + struct.pack(">HHH", *near_it) * 32
    _, (made,) = run(png((64, 32), 16, 2, row, chunk(b"tRNS", struct.pack(">HHH", *hidden))), PNG)
    assert made.getpixel((5, 5))[3] == 0  # type: ignore[index]
    assert made.getpixel((50, 5)) == (0x12, 0x56, 0x9A, 255)


def test_exif_of_a_png_is_kept_beside_a_broken_chunk(run: Run) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    data = png((60, 40), 8, 2, RED_ROW, chunk(b"eXIf", exif.tobytes()[6:]), chunk(b"tEXt", b"a", wrong=1))
    _, (made,) = run(data, {"format": "png", "keep_metadata": True})
    assert made.getexif()[0x013B] == "Ada"
    assert Image.open(io.BytesIO(data.replace(chunk(b"tEXt", b"a", wrong=1), b""))).getexif()[0x013B] == "Ada"
