"""The time of the last frame of a WebP, set in the file; files of any other form stay as they are."""

import io

import pytest
from PIL import Image

from dtqs.processors.video.webp_end import end_at


def animation(*milliseconds: int) -> io.BytesIO:
    file = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (20 * number, 0, 0)) for number in range(len(milliseconds))]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=list(milliseconds))
    return file


def times(file: io.BytesIO) -> list[int]:
    found = []
    with Image.open(file) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            picture.load()
            found.append(picture.info["duration"])
    return found


@pytest.mark.parametrize(("seconds", "last"), [(0.75, 250), (2.5, 2000), (0.1, 1), (1e9, (1 << 24) - 1)])
def test_the_last_frame_ends_with_the_part(seconds: float, last: int) -> None:
    file = animation(200, 300, 300)
    end_at(file, seconds)
    assert times(file) == [200, 300, last]


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", b"GIF89a" + bytes(100), b"RIFF\0\0\0\0WEBP" + bytes(9), animation(1, 1).getvalue()[:-60], bytes(64)],
)
def test_a_file_of_another_form_keeps_its_size(data: bytes) -> None:
    file = io.BytesIO(data)
    end_at(file, 1)
    assert len(file.getvalue()) == len(data)
