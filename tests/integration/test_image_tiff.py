"""TIFFs with number formats that Pillow does not read, or misreads."""

import dataclasses
import math
import re
import struct
from typing import Any

import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dtqs.errors import PermanentError
from tests.support.fix_images import Run, saved
from tests.support.fix_tiff import Numbers, tiff

PNG = {"format": "png"}
SIZE = (35, 20)


def _grey(x: int, y: int) -> int:
    return min(255, 7 * x)


def _colour(x: int, y: int) -> tuple[int, int, int]:
    return _grey(x, y), 255 - _grey(x, y), 12 * y


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "how",
    [
        Numbers(16, photometric=0),
        Numbers(32, photometric=0),
        Numbers(32),
        Numbers(64),
        Numbers(16, format=3),
        Numbers(32, format=3),
        Numbers(64, format=3),
        Numbers(16, photometric=0, deflated=True, predictor=2),
        Numbers(32, deflated=True, predictor=2, tile=16),
        Numbers(32, format=3, deflated=True, predictor=3),
        Numbers(16, format=3, deflated=True, predictor=3, tile=16),
        Numbers(32, format=3, photometric=0),
    ],
)
def test_grey_in_any_number_format_keeps_its_value(run: Run, how: Numbers, order: str) -> None:
    top = 1.0 if how.format == 3 else 2**how.bits - 1
    data = tiff(
        dataclasses.replace(how, order=order),
        SIZE,
        lambda x, y: (top * _grey(x, y) / 255 if how.format == 3 else top // 255 * _grey(x, y),),
    )
    _, (made,) = run(data, PNG)
    assert made.mode == "L"
    wanted = [255 - _grey(x, 0) if how.photometric == 0 else _grey(x, 0) for x in range(SIZE[0])]
    assert all(abs(int(made.getpixel((x, 7))) - wanted[x]) <= 1 for x in range(SIZE[0]))  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "how",
    [
        Numbers(16, photometric=2, planar=True),
        Numbers(16, photometric=2, planar=True, deflated=True, predictor=2, tile=16),
        Numbers(32, photometric=2),
        Numbers(32, photometric=2, format=3),
        Numbers(16, photometric=2, format=3, planar=True),
        Numbers(32, photometric=2, format=3, deflated=True, predictor=3),
        Numbers(16, photometric=2, deflated=True, predictor=2),
        Numbers(8, photometric=2, planar=True, deflated=True, predictor=2),
    ],
)
def test_colours_in_any_number_format_keep_their_values(run: Run, how: Numbers, order: str) -> None:
    top = 1.0 if how.format == 3 else 2**how.bits - 1

    def pixel(x: int, y: int) -> tuple[float, ...]:
        return tuple(value * top / 255 if how.format == 3 else top // 255 * value for value in _colour(x, y))

    _, (made,) = run(tiff(dataclasses.replace(how, order=order), SIZE, pixel), PNG)
    assert made.mode == "RGB"
    for x, y in ((0, 0), (13, 5), (34, 19), (20, 17)):
        assert made.getpixel((x, y)) == pytest.approx(_colour(x, y), abs=1)


@pytest.mark.parametrize("bits", [8, 16])
def test_cmyk_with_alpha_becomes_rgb_with_alpha(run: Run, bits: int) -> None:
    top = 2**bits - 1
    how = Numbers(bits, photometric=5, extra=(2,))
    data = tiff(how, SIZE, lambda x, y: (0, top, top, 0, top if x < 20 else 0))
    result, (made,) = run(data, PNG)
    assert result["source"]["has_alpha"]
    assert made.getpixel((5, 5)) == (255, 0, 0, 255)
    assert made.getpixel((30, 5))[3] == 0  # type: ignore[index]


def test_premultiplied_colours_are_divided_by_their_alpha(run: Run) -> None:
    data = tiff(Numbers(32, format=3, photometric=2, extra=(1,)), SIZE, lambda x, y: (0.5, 0.25, 0, 0.5))
    _, (made,) = run(data, PNG)
    assert made.getpixel((5, 5)) == pytest.approx((255, 128, 0, 128), abs=2)


def test_floats_beyond_white_are_scaled_and_invalid_ones_do_no_harm(run: Run) -> None:
    _, (made,) = run(tiff(Numbers(32, format=3), SIZE, lambda x, y: (math.nan if y == 3 else 28.0 * x,)), PNG)
    assert [made.getpixel((x, 0)) for x in (0, 17, 34)] == pytest.approx([0, 127, 255], abs=1)
    assert made.getpixel((10, 3)) == 0


def test_colours_in_lab_are_converted(run: Run) -> None:
    _, (made,) = run(tiff(Numbers(8, photometric=8), SIZE, lambda x, y: (136, 81, 70)), PNG)
    assert made.getpixel((5, 5)) == pytest.approx((254, 0, 0), abs=14)
    _, (wide,) = run(tiff(Numbers(16, photometric=8), SIZE, lambda x, y: (136 << 8, 81 << 8, 70 << 8)), PNG)
    assert wide.getpixel((5, 5)) == pytest.approx(made.getpixel((5, 5)), abs=1)


def test_the_limit_on_pixels_counts_pixels_and_not_bytes(run: Run) -> None:
    data = tiff(Numbers(64, format=3, photometric=2, deflated=True), SIZE, lambda x, y: (0.5, 0.25, 0))
    _, (made,) = run(data, PNG, max_pixels=SIZE[0] * SIZE[1])
    assert made.size == SIZE
    with pytest.raises(PermanentError, match="the image has 35 × 20 pixels; allowed are 699"):
        run(data, PNG, max_pixels=SIZE[0] * SIZE[1] - 1)


def _photograph(*tags: tuple[int, int, Any], photometric: int | None = None, format: str = "RGB") -> bytes:
    """Return a TIFF of one page with more tags: number, type and value."""
    directory = ImageFileDirectory_v2()
    for tag, kind, value in tags:
        directory.tagtype[tag] = kind
        directory[tag] = value
    data = saved(Image.new(format, (16, 12), 100), "tiff", tiffinfo=directory)
    if photometric is None:
        return data
    entry, changed = struct.pack("<HHI", 262, 3, 1), bytearray(data)
    at = data.index(entry) + len(entry)
    changed[at : at + 2] = struct.pack("<H", photometric)
    return bytes(changed)


REDUCED, HIDDEN, DNG = (254, 4, 1), (330, 4, (8, 8)), (50706, 1, b"\1\4\0\0")


def _by(maker: str) -> tuple[int, int, str]:
    return 271, 2, maker


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (_photograph(REDUCED, HIDDEN, DNG, _by("Google")), "a camera raw (DNG)"),
        (_photograph(REDUCED, DNG), "a camera raw (DNG)"),
        (_photograph(DNG, photometric=34892), "a camera raw (DNG)"),
        (_photograph(DNG, photometric=32803, format="L"), "a camera raw (DNG)"),
        (_photograph(REDUCED, HIDDEN, _by("NIKON CORPORATION")), "a Nikon raw (NEF)"),
        (_photograph(REDUCED, HIDDEN, _by("SONY")), "a Sony raw (ARW)"),
        (_photograph(REDUCED, HIDDEN, _by("SAMSUNG")), "a Samsung raw (SRW)"),
        (_photograph(REDUCED, HIDDEN, _by("Hasselblad")), "a Hasselblad raw (3FR)"),
        (_photograph(_by("PENTAX Corporation"), photometric=32803, format="L"), "a Pentax raw (PEF)"),
        (_photograph(REDUCED, HIDDEN, _by("Mamiya")), "a camera raw"),
    ],
)
def test_a_camera_raw_is_refused_by_name(run: Run, data: bytes, kind: str) -> None:
    """The first page of a raw is a preview of 160 pixels, or the numbers of the sensor."""
    refused = rf"the file is {re.escape(kind)}, not an image that can be read: allowed are JPEG"
    for asked in ({"width": 1600}, {"page": 2}):
        with pytest.raises(PermanentError, match=refused):
            run(data, asked)


@pytest.mark.parametrize(
    "tags",
    [
        (HIDDEN, _by("NIKON CORPORATION")),  # smaller copies of the whole image
        (REDUCED, _by("NIKON CORPORATION")),
        (REDUCED, HIDDEN),
        (DNG, HIDDEN),
        (),
    ],
)
def test_a_tiff_with_its_whole_image_on_the_first_page_is_read(run: Run, tags: tuple[Any, ...]) -> None:
    _, (made,) = run(_photograph(*tags), PNG)
    assert made.size == (16, 12)
