"""Tiled watermarks: tiles stand in rows and columns, at a cost by the size of the output and not by their number."""

import random
from typing import Any

import pytest
from PIL import Image

from dtqs.processors.image.watermark import _tile


@pytest.mark.parametrize("margin", [0, 1, 7, 50])
@pytest.mark.parametrize("size", [(1, 1), (3, 90), (40, 31), (64, 64)])
@pytest.mark.parametrize("tile", [(1, 1), (5, 7), (40, 2), (70, 70)])
def test_tiles_stand_in_rows_and_columns(size: tuple[int, int], tile: tuple[int, int], margin: int) -> None:
    drawn = Image.frombytes("RGBA", tile, random.Random(1).randbytes(tile[0] * tile[1] * 4))
    expected, tiled = Image.new("RGBA", size), Image.new("RGBA", size)
    for top in range(0, size[1], tile[1] + margin):
        for left in range(0, size[0], tile[0] + margin):
            expected.paste(drawn, (left, top))
    _tile(tiled, drawn, margin)
    assert tiled.tobytes() == expected.tobytes()


def test_a_tile_of_one_pixel_is_not_pasted_for_each_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    pasted, paste = list[int](), Image.Image.paste

    def counting(image: Image.Image, *arguments: Any) -> None:
        pasted.append(1)
        paste(image, *arguments)

    monkeypatch.setattr(Image.Image, "paste", counting)
    _tile(Image.new("RGBA", (1000, 1000)), Image.new("RGBA", (1, 1)), 0)
    assert len(pasted) <= 21
