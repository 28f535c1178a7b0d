"""Decode an image that ffmpeg made, in a process of its own: a hostile video may have made ffmpeg write a harmful one.

This is a program, run by its path so that it loads little. Its arguments: the jail's orders, a file descriptor, a
format, a width, a height. It prints JSON.
"""

import json
import sys
from typing import Any, BinaryIO

from PIL import Image

from dtqs.jail import enter
from dtqs.processors.image.broken import BROKEN


class WrongSize(Exception):
    """The image has another size than the command asked for."""


def main() -> None:
    orders, descriptor, format, width, height = sys.argv[1:]
    enter(orders)
    with open(int(descriptor), "rb") as file:
        print(json.dumps(look(file, format, (int(width), int(height)))))


def look(file: BinaryIO, format: str, size: tuple[int, int]) -> dict[str, Any]:
    """Return the number of frames and their milliseconds, or the fault of the image."""
    file.seek(0)
    # the expected size is within the settings' limit: Pillow's own limit is lower than max_pixels may be
    Image.MAX_IMAGE_PIXELS = size[0] * size[1]
    try:
        with Image.open(file, formats=(format,)) as picture:
            _check_size(picture, size)
            frames, milliseconds = getattr(picture, "n_frames", 1), 0.0
            for number in range(frames):
                picture.seek(number)
                _check_size(picture, size)  # a later frame of a GIF may enlarge the image
                picture.load()
                milliseconds += picture.info.get("duration", 0)
    except WrongSize as error:
        return {"wrong": str(error)}
    except (*BROKEN, Image.DecompressionBombError) as error:
        return {"wrong": f"it cannot be opened again: {error}"[:400]}
    return {"frames": frames, "milliseconds": milliseconds}


def _check_size(picture: Image.Image, size: tuple[int, int]) -> None:
    if picture.size != size:
        raise WrongSize(f"it has {picture.width} × {picture.height} pixels, not {size[0]} × {size[1]}")


if __name__ == "__main__":
    main()
