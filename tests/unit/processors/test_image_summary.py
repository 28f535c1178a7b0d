"""BlurHash, dominant colour and smart crop, on small images made by the tests."""

import random

import pytest
from PIL import Image

from dtqs.processors.image.geometry import Plan
from dtqs.processors.image.smart import placed
from dtqs.processors.image.summary import blurhash, dominant_color, shrunk


def _gradient(size: tuple[int, int] = (24, 16)) -> Image.Image:
    picture = Image.new("RGB", size)
    picture.putdata([(x * 10 % 256, y * 15 % 256, (x + y) * 6 % 256) for y in range(size[1]) for x in range(size[0])])
    return picture


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        # from the reference implementation in Python, with 4 × 3 and 3 × 4 components
        (_gradient(), "LoF=?d2jwzbZqKWFjue:gIfkfQfj"),
        (_gradient((16, 24)), "TkAVOIF:o0m*a%fRdNe=fQppbYfQ"),
        (Image.new("RGB", (20, 20), "#ff8000"), "LGTNoS}VfQ}V}VoKfQoKfQfQfQfQ"),
    ],
)
def test_a_blurhash_equals_the_reference_implementations(picture: Image.Image, expected: str) -> None:
    assert blurhash(picture) == expected


def test_transparent_pixels_are_white_in_a_blurhash_and_absent_from_the_dominant_colour() -> None:
    picture = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 20, 8))
    flat = Image.new("RGB", (20, 20), "#ffffff")
    flat.paste((0, 0, 255), (0, 0, 20, 8))
    assert blurhash(picture) == blurhash(flat)
    assert dominant_color(picture) == "#0000ff"


@pytest.mark.parametrize("seed", range(5))
def test_invisible_colours_do_not_change_the_dominant_one(seed: int) -> None:
    numbers = random.Random(seed)
    hidden = [(0, 0, 0), (255, 255, 255), tuple(numbers.randbytes(3))]
    found = set()
    for colours in (hidden, hidden[1:], hidden[:1]):
        picture = Image.new("RGBA", (24, 24))
        picture.putdata([(*colours[at % len(colours)], 0) for at in range(24 * 24)])
        for at in range(100):
            picture.putpixel((at % 10, at // 10), ((seed * 50 + at * at) % 256, 200 - at, at % 3 * 100, 255))
        found.add(dominant_color(picture))
    assert len(found) == 1


def test_an_invisible_image_has_a_dominant_colour_too() -> None:
    assert dominant_color(Image.new("LA", (24, 24), (7, 0))) == "#070707"


@pytest.mark.parametrize("size", [(1, 1), (1000, 1), (1, 1000), (24, 24), (4000, 3000)])
def test_every_shape_has_a_small_copy_and_a_blurhash(size: tuple[int, int]) -> None:
    small = shrunk(Image.new("L", size, 77))
    assert max(small.size) <= 24
    assert len(blurhash(small)) == 28
    assert dominant_color(small) == "#4d4d4d"


@pytest.mark.parametrize("at", [(0, 0), (300, 0), (150, 100), (300, 200)])
def test_a_smart_box_contains_the_detailed_area(at: tuple[int, int]) -> None:
    picture = Image.new("RGB", (400, 300), "#335577")
    for step in range(0, 100, 10):
        picture.paste("#ffffff" if step % 20 else "#000000", (at[0] + step, at[1], at[0] + step + 10, at[1] + 100))
    box = placed(picture, Plan((0, 0, 400, 300), (400, 300), (100, 75, 300, 225), area=(0, 0, 400, 300))).box
    assert box[0] <= at[0] + 10
    assert box[1] <= at[1] + 10
    assert box[2] >= at[0] + 90
    assert box[3] >= at[1] + 90
    assert (box[2] - box[0], box[3] - box[1]) == (200, 150)


def test_a_smart_box_of_a_plain_image_stays_in_the_middle() -> None:
    plan = Plan((0, 0, 400, 300), (400, 300), (100, 0, 300, 300), area=(0, 0, 400, 300))
    assert placed(Image.new("RGB", (400, 300), "#335577"), plan).box == (100, 0, 300, 300)
    assert placed(Image.new("RGB", (400, 300)), Plan((0, 0, 400, 300), (400, 300), (0, 0, 200, 300))).box == (
        0,
        0,
        200,
        300,
    )


def test_a_faint_shadow_has_its_own_dominant_colour_not_that_of_the_invisible_pixels() -> None:
    picture = Image.new("RGBA", (20, 20), (0, 255, 0, 0))
    picture.paste((200, 0, 0, 100), (0, 0, 6, 20))
    assert dominant_color(picture) == "#c80000"
