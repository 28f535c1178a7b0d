"""The last look at an image that ffmpeg made: its pixels are counted before any of them is decoded."""

import io

import pytest
from PIL import Image

from dtqs.processors.video.look import look

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


def saved(size: tuple[int, int], format: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("L", size).save(file, format, **options)
    return file


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Pillow's own limit be lower than the images of these tests, as it is below the largest max_pixels."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)


def test_an_image_of_the_expected_size_is_taken_beyond_the_limit_of_pillow() -> None:
    assert look(saved((300, 200)), "PNG", (300, 200)) == {"frames": 1, "milliseconds": 0.0}


def test_an_image_of_another_size_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("it is decoded"))
    assert look(saved((60, 50)), "PNG", (50, 50)) == {"wrong": "it has 60 × 50 pixels, not 50 × 50"}
    assert "decompression bomb" in look(saved((3000, 2000)), "PNG", (50, 50))["wrong"]


def test_a_later_frame_does_not_enlarge_the_image() -> None:
    data = bytearray(saved((20, 20), "GIF", save_all=True, append_images=[Image.new("L", (20, 20), 255)]).getvalue())
    second = data.rindex(b"\x2c")
    data[second + 5 : second + 9] = (25).to_bytes(2, "little") * 2
    assert look(io.BytesIO(data), "GIF", (20, 20)) == {"wrong": "it has 25 × 25 pixels, not 20 × 20"}
