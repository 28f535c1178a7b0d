"""Few colours and transparent parts: palettes of GIF and PNG, still and moving, pixel by pixel."""

from typing import Any

import pytest
from PIL import Image, ImageSequence

from tests.support.fix_images import Run, saved

Pixel = tuple[int, ...]
RED, GREEN, BLACK, CLEAR = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 0, 255), (0, 0, 0, 0)
HIDDEN = (255, 0, 255, 0)
SIDE = 40


def _halves(left: Pixel, right: Pixel) -> Image.Image:
    picture = Image.new("RGBA", (SIDE, SIDE), right)
    picture.paste(left, (0, 0, SIDE // 2, SIDE))
    return picture


def _moving(*frames: Image.Image) -> bytes:
    return saved(
        frames[0], "webp", save_all=True, append_images=list(frames[1:]), lossless=True, exact=True, duration=100
    )


def _seen(picture: Image.Image, at: float, down: float = 0.5) -> Pixel:
    """Return the pixel at this part of the width; all transparent pixels count as equal."""
    pixel = picture.convert("RGBA").getpixel((int(at * picture.width), int(down * picture.height)))
    assert isinstance(pixel, tuple)
    return pixel if pixel[3] else CLEAR


def _frames(picture: Image.Image) -> list[tuple[Pixel, Pixel]]:
    return [(_seen(frame, 0.25), _seen(frame, 0.75)) for frame in ImageSequence.Iterator(picture)]


@pytest.mark.parametrize("colors", [None, 2, 8, 256])
@pytest.mark.parametrize("format", ["gif", "png"])
def test_transparent_parts_stay_so_with_few_colours(run: Run, format: str, colors: int | None) -> None:
    data = saved(_halves(RED, HIDDEN), "png")
    _, (made, grey) = run(data, *({"format": format, "colors": colors, "grayscale": each} for each in (False, True)))
    assert _frames(made) == [(RED, CLEAR)]
    assert _frames(grey) == [((76, 76, 76, 255), CLEAR)]


@pytest.mark.parametrize(
    "asked",
    [
        {"corner_radius": 20},
        {"width": 40, "height": 40, "fit": "pad", "crop": {"width": 20, "height": 20, "gravity": "centre"}},
        {"rotate": 45},
        {"corner_radius": 20, "watermark": {"text": "x", "scale": 0.1, "position": "bottom"}},
    ],
)
@pytest.mark.parametrize("colors", [None, 4])
def test_transparent_corners_stay_so_in_a_gif(run: Run, colors: int | None, asked: dict[str, Any]) -> None:
    data = saved(Image.new("RGB", (SIDE, SIDE), RED[:3]), "png")
    _, (made,) = run(data, {"format": "gif", "colors": colors, **asked})
    assert (_seen(made, 0, 0), _seen(made, 0.5)) == (CLEAR, RED)


@pytest.mark.parametrize("colors", [None, 8])
@pytest.mark.parametrize(
    ("opacity", "left"), [(1, False), (20, False), (127, False), (128, True), (200, True), (254, True)]
)
def test_a_half_transparent_pixel_of_a_gif_is_opaque_from_the_middle_on(
    run: Run, opacity: int, left: bool, colors: int | None
) -> None:
    shadow = _halves((0, 0, 200, opacity), RED)
    wanted = ((0, 0, 200, 255) if left else CLEAR, RED)
    asked = {"format": "gif", "colors": colors}
    _, (made,) = run(saved(shadow, "png"), asked)
    assert _frames(made) == [wanted]
    _, (made, grey) = run(_moving(shadow, _halves(RED, CLEAR)), asked, asked | {"grayscale": True})
    assert _frames(made) == [wanted, (RED, CLEAR)]
    assert [frame[0][3] > 0 for frame in _frames(grey)] == [left, True]


BLANK, ALL_BLACK = Image.new("RGBA", (SIDE, SIDE)), Image.new("RGBA", (SIDE, SIDE), BLACK)


@pytest.mark.parametrize("colors", [None, 3, 8])
@pytest.mark.parametrize("format", ["gif", "png"])
@pytest.mark.parametrize(
    "frames",
    [
        [_halves(RED, CLEAR), _halves(GREEN, CLEAR)],
        [_halves(RED, CLEAR), _halves(RED, BLACK), _halves(CLEAR, RED)],
        [_halves(RED, BLACK), _halves(RED, CLEAR), ALL_BLACK, BLANK, ALL_BLACK],
        [BLANK, _halves(RED, CLEAR), BLANK, ALL_BLACK, _halves(BLACK, CLEAR), BLANK],
        [ALL_BLACK, BLANK, _halves(CLEAR, BLACK)],
    ],
)
def test_each_frame_keeps_its_transparent_parts(
    run: Run, frames: list[Image.Image], format: str, colors: int | None
) -> None:
    _, (made,) = run(_moving(*frames), {"format": format, "colors": colors})
    assert _frames(made) == [(_seen(frame, 0.25), _seen(frame, 0.75)) for frame in frames]


@pytest.mark.parametrize("colors", [None, 8])
def test_an_animation_of_equal_frames_becomes_a_still_gif_with_its_transparent_parts(
    run: Run, colors: int | None
) -> None:
    picture = _halves(RED, CLEAR)
    # the colours of invisible pixels differ, so that the source has two frames
    result, (made,) = run(_moving(picture, _halves(RED, (1, 2, 3, 0))), {"format": "gif", "colors": colors})
    assert result["outputs"][0]["frames"] == 1
    assert result["outputs"][0]["duration_seconds"] == 0.2
    assert _frames(made) == [(RED, CLEAR)]


@pytest.mark.parametrize("colors", [4, 5, 8, 16])
@pytest.mark.parametrize("format", ["gif", "png"])
def test_no_opaque_pixel_disappears_for_lack_of_colours(run: Run, format: str, colors: int) -> None:
    picture = Image.new("RGBA", (320, SIDE))
    stripes = [(200 * (n & 1), 100 * (n >> 1 & 1), 80 * (n >> 2), 255) for n in range(16)]
    for number, colour in enumerate(stripes):
        picture.paste(colour, (10 * number, 0, 10 * number + 10, SIDE))
    _, (made,) = run(saved(picture, "png"), {"format": format, "colors": colors})
    shown = made.convert("RGBA")
    assert len(shown.getcolors() or []) <= colors
    assert shown.getchannel("A").tobytes() == picture.getchannel("A").tobytes()
    light = [sum(_seen(shown, (10 * number + 5) / 320)[:3]) for number in range(16)]
    assert light[0] < light[15]
