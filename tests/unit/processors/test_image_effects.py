"""Effects that must work for each size."""

import random

import pytest
from PIL import Image

from dtqs.processors.image.effects import apply
from dtqs.processors.image.payload import ImageOutput

BLUR = ImageOutput(name="a", fit="pad", pad_with="blur")
SOME = random.Random(7)
SIZES = [
    ((498, 25), (813, 662)),
    ((231, 91), (651, 552)),
    ((465, 46), (501, 220)),
    ((44, 14), (854, 453)),
    *(
        ((SOME.randint(1, 200), SOME.randint(1, 200)), (SOME.randint(200, 500), SOME.randint(200, 500)))
        for _ in range(200)
    ),
]


def test_a_blurred_image_fills_each_canvas() -> None:
    """The part of the image that fills it is computed with floats, which may come out a little too large."""
    for size, canvas in SIZES:
        made = apply(Image.new("RGB", size, "#3060c0"), BLUR, canvas, None)
        assert made.size == canvas
        assert made.getcolors() == [(canvas[0] * canvas[1], (0x30, 0x60, 0xC0))], (size, canvas)


@pytest.mark.parametrize("hidden", [(0, 255, 0, 0), (0, 0, 0, 0)])
def test_a_blurred_image_has_no_invisible_colours(hidden: tuple[int, ...]) -> None:
    picture = Image.new("RGBA", (60, 60), hidden)
    picture.paste((200, 100, 0, 255), (20, 20, 40, 40))
    pixels = apply(picture, BLUR, (120, 60), None).get_flattened_data()
    for red, green, blue, opacity in pixels:  # type: ignore[misc]
        assert opacity < 32 or (abs(red - 200) < 20 and abs(green - 100) < 20 and blue < 20)


@pytest.mark.parametrize("size", [(1, 200), (200, 1), (1, 1)])
def test_a_line_fills_a_canvas_too(size: tuple[int, int]) -> None:
    assert apply(Image.new("LA", size, (9, 0)), BLUR, (300, 200), None).getpixel((0, 0))[3] == 0  # type: ignore[index]
