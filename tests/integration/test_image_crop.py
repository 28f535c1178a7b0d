"""Crops are cut out of the source exactly, before scaling: no surrounding colour shows in them."""

from typing import Any

import pytest
from PIL import Image

from tests.support.fix_images import Run, near, saved

CROP = {"left": 105, "top": 50, "width": 101, "height": 99}
LIME = (0, 255, 0)


def _inside_red(format: str, orientation: int = 1, **options: Any) -> bytes:
    """Return a lime box at odd coordinates with red around it."""
    picture = Image.new("RGB", (400, 200), "red")
    picture.paste(LIME, (105, 50, 206, 149))
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = picture if undo is None else picture.transpose(Image.Transpose(undo))
    return saved(stored, format, exif=exif, **options)


def _colours(picture: Image.Image) -> set[Any]:
    return {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or ()}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_scaled_crop_contains_nothing_from_outside(run: Run, orientation: int) -> None:
    smaller, larger = (
        {"width": 10, "crop": CROP, "format": "png"},
        {"width": 300, "enlarge": True, "crop": CROP, "format": "png"},
    )
    squeezed = {"width": 7, "height": 31, "fit": "stretch", "crop": CROP, "format": "png"}
    _, made = run(_inside_red("png", orientation), smaller, larger, squeezed, {"width": 40, "format": "png"})
    assert [picture.size for picture in made] == [(10, 10), (300, 294), (7, 31), (40, 20)]
    assert [_colours(picture) for picture in made[:3]] == [{LIME}] * 3
    assert near(made[3], (0.05, 0.05), "red")


def test_a_jpeg_is_not_decoded_smaller_before_it_is_cropped(run: Run) -> None:
    data = _inside_red("jpeg", quality=100, subsampling="4:4:4")
    _, (made,) = run(data, {"width": 10, "crop": CROP, "format": "png"})
    assert all(colour[0] < 8 and colour[1] > 247 for colour in _colours(made))


def test_a_smart_crop_is_cut_out_before_it_is_scaled(run: Run) -> None:
    """Put every detail on the right: the crop must lie there and show nothing from outside."""
    picture = Image.new("RGB", (400, 200), "red")
    for at in range(200, 400, 8):
        picture.paste(LIME if at % 16 else (0, 0, 255), (at, 0, at + 8, 200))
    crop = {"width": 96, "height": 96, "gravity": "smart"}
    _, (made,) = run(saved(picture, "png"), {"width": 12, "crop": crop, "format": "png"})
    assert made.size == (12, 12)
    assert all(red < 8 for red, _, _ in _colours(made))


def test_every_frame_of_an_animation_is_cropped_exactly(run: Run) -> None:
    frames = []
    for blue in (0, 200):
        frame = Image.new("RGB", (400, 200), "red")
        frame.paste((0, 255, blue), (105, 50, 206, 149))
        frames.append(frame)
    data = saved(frames[0], "gif", save_all=True, append_images=frames[1:], duration=100)
    _, (made,) = run(data, {"width": 10, "crop": CROP, "format": "png"})
    for number, blue in enumerate((0, 200)):
        made.seek(number)
        assert _colours(made) == {(0, 255, blue)}
