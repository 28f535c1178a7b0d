"""Invisible pixels have colours, too. None of them may show."""

from typing import cast

import pytest
from PIL import Image, ImageSequence

from tests.support.fix_images import Run, saved

SIDE = 60
HIDDEN = [(0, 255, 0, 0), (255, 255, 255, 0), (0, 0, 0, 0)]


def _square(hidden: tuple[int, ...], colour: tuple[int, ...] = (255, 0, 0)) -> Image.Image:
    """Return a square that does not lie on the blocks of a format."""
    picture = Image.new("RGBA", (SIDE, SIDE), hidden)
    picture.paste((*colour, 255), (11, 11, 49, 49))
    return picture


def _error(picture: Image.Image, colour: tuple[int, ...] = (255, 0, 0)) -> int:
    """Return the largest error of a visible pixel."""
    pixels = cast("list[tuple[int, ...]]", picture.convert("RGBA").get_flattened_data())
    return max(
        abs(level - wanted) for pixel in pixels if pixel[3] > 200 for level, wanted in zip(pixel, colour, strict=False)
    )


@pytest.mark.parametrize("hidden", HIDDEN)
def test_hidden_colours_do_not_show_in_the_edges_of_lossy_formats(run: Run, hidden: tuple[int, ...]) -> None:
    _, made = run(
        saved(_square(hidden), "png"), {"format": "avif"}, {"format": "webp"}, {"format": "avif", "quality": 30}
    )
    assert [_error(picture) < 8 for picture in made] == [True] * 3
    for picture in made:
        assert picture.convert("RGBA").getpixel((2, 2))[3] < 4  # type: ignore[index]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_hidden_colours_do_not_show_in_an_animation(run: Run, hidden: tuple[int, ...]) -> None:
    frames = [_square(hidden), _square(hidden, (0, 0, 255)), Image.new("RGBA", (SIDE, SIDE), hidden)]
    options = {"save_all": True, "append_images": frames[1:], "duration": 100}
    data = saved(frames[0], "png", **options)
    _, (made,) = run(data, {"format": "avif"})
    shown = [frame.convert("RGBA") for frame in ImageSequence.Iterator(made)]
    assert _error(shown[0]) < 12
    assert _error(shown[1], (0, 0, 255)) < 12
    assert shown[2].getchannel("A").getextrema()[1] < 8  # type: ignore[operator]


@pytest.mark.parametrize("grayscale", [False, True])
def test_contrast_depends_on_visible_pixels_alone(run: Run, grayscale: bool) -> None:
    asked = {"format": "png", "contrast": 0.5, "grayscale": grayscale}
    halves = Image.new("RGB", (40, 40), "#402010")
    halves.paste("#806040", (0, 0, 20, 40))
    _, (whole, padded) = run(saved(halves, "png"), asked, asked | {"fit": "pad", "width": 90, "height": 40})
    _, made = zip(*(run(saved(_square(hidden), "png"), asked) for hidden in HIDDEN), strict=True)
    assert padded.convert("RGB").getpixel((30, 20)) == whole.convert("RGB").getpixel((5, 20))
    assert len({picture.convert("RGB").getpixel((30, 30)) for (picture,) in made}) == 1
