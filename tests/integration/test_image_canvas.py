"""Animations of parts on a canvas, as browsers show them, and results that describe the written files."""

import io
from typing import Any

import pytest
from PIL import Image

from dtqs.errors import PermanentError
from tests.support.fix_images import Run, saved
from tests.support.fix_pictures import ApngPart, GifPart, apng, gif

CLEAR = (0, 0, 0, 0)
RED, GREEN, BLUE = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)


def _pixels(picture: Image.Image, *places: tuple[int, int]) -> list[list[Any]]:
    """Return the pixels at these places in every frame; an invisible pixel counts as clear."""
    found = []
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        frame = picture.convert("RGBA")
        seen: list[Any] = [frame.getpixel(place) for place in places]
        found.append([pixel if pixel[3] else CLEAR for pixel in seen])
    return found


@pytest.mark.parametrize("to", [{"format": "webp", "lossless": True}, {"format": "png"}, {"format": "gif"}])
def test_the_area_outside_the_first_frame_of_a_gif_is_transparent(run: Run, to: dict[str, Any]) -> None:
    data = gif((40, 40), [GifPart(10, 10, 20, 20, 1), GifPart(0, 0, 10, 10, 2)])
    result, (made, still) = run(data, to, {**to, "animated": False})
    assert result["source"]["has_alpha"]
    assert _pixels(made, (2, 2), (15, 15), (35, 35)) == [[CLEAR, RED, CLEAR], [GREEN, RED, CLEAR]]
    assert _pixels(still, (2, 2), (15, 15)) == [[CLEAR, RED]]


def test_each_part_of_a_gif_is_disposed_of_as_it_asks(run: Run) -> None:
    whole = GifPart(0, 0, 20, 20, 1)
    kept = [whole, GifPart(0, 0, 10, 10, 2), GifPart(10, 10, 5, 5, 3)]
    cleared = [whole, GifPart(0, 0, 10, 10, 2, dispose=2), GifPart(10, 10, 5, 5, 3)]
    restored = [whole, GifPart(0, 0, 10, 10, 2, dispose=3), GifPart(10, 10, 5, 5, 3)]
    places = (5, 5), (12, 12), (18, 18)
    for parts, corner in ((kept, GREEN), (cleared, CLEAR), (restored, RED)):
        _, (made,) = run(gif((20, 20), parts), {"format": "png"})
        assert _pixels(made, *places) == [[RED, RED, RED], [GREEN, RED, RED], [corner, BLUE, RED]]


def test_a_hole_in_a_part_shows_the_frame_below(run: Run) -> None:
    parts = [GifPart(0, 0, 20, 20, 1), GifPart(5, 5, 10, 10, 2, transparent=2), GifPart(5, 5, 10, 10, 3)]
    result, (made,) = run(gif((20, 20), parts, loop=3), {"format": "png"})
    assert not result["source"]["has_alpha"]
    assert _pixels(made, (7, 7)) == [[RED], [BLUE]]
    assert made.info["loop"] == 4
    assert (result["outputs"][0]["frames"], result["outputs"][0]["duration_seconds"]) == (2, 0.6)


def test_a_gif_whose_screen_is_too_small_shows_its_first_part(run: Run) -> None:
    result, (made,) = run(gif((0, 0), [GifPart(0, 0, 8, 6, 1), GifPart(4, 4, 20, 20, 2)]), {"format": "png"})
    assert (result["source"]["width"], result["source"]["height"]) == (8, 6)
    assert _pixels(made, (1, 1), (5, 5)) == [[RED, RED], [RED, GREEN]]


def test_an_apng_is_composed_of_its_parts(run: Run) -> None:
    red, green, blue = (bytes(colour[:3]) for colour in (RED, GREEN, BLUE))
    parts = [
        ApngPart(0, 0, 20, 20, red),
        ApngPart(0, 0, 10, 10, green, dispose=1),
        ApngPart(10, 10, 5, 5, blue, dispose=2),
    ]
    _, (made,) = run(apng((20, 20), 2, [*parts, ApngPart(18, 18, 1, 1, blue)]), {"format": "png"})
    places = (5, 5), (12, 12)
    assert _pixels(made, *places) == [[RED, RED], [GREEN, RED], [CLEAR, BLUE], [CLEAR, RED]]


def test_an_apng_begins_on_an_empty_canvas_even_with_a_still_image_before_it(run: Run) -> None:
    parts = [ApngPart(5, 5, 5, 5, bytes(GREEN)), ApngPart(0, 0, 5, 5, bytes(BLUE), over=True)]
    data = apng((20, 20), 6, parts, still=bytes(RED))
    result, (made, still) = run(data, {"format": "webp", "lossless": True}, {"format": "png", "page": 1})
    assert result["source"]["frames"] == 3
    assert _pixels(made, (7, 7), (2, 2), (15, 15)) == [[GREEN, CLEAR, CLEAR], [GREEN, BLUE, CLEAR]]
    assert _pixels(still, (2, 2)) == [[RED]]


def test_an_apng_with_a_broken_animation_is_a_still_image(run: Run) -> None:
    data = apng((20, 20), 2, [ApngPart(0, 0, 20, 20, bytes(RED[:3])), ApngPart(15, 15, 10, 10, bytes(BLUE[:3]))])
    result, (made,) = run(data, {"format": "png"})
    assert result["source"]["frames"] == 1
    assert _pixels(made, (17, 17)) == [[RED]]


def _webp_without_its_flag() -> bytes:
    frames = [Image.new("RGBA", (40, 40)) for _ in range(2)]
    for number, frame in enumerate(frames):
        frame.paste(RED if number else BLUE, (10, 10, 30, 30))
    data = bytearray(saved(frames[0], "webp", save_all=True, append_images=frames[1:], duration=70, lossless=True))
    data[20] &= ~0x10
    return bytes(data)


def test_an_animated_webp_without_its_alpha_flag_keeps_its_alpha(run: Run) -> None:
    data = _webp_without_its_flag()
    assert Image.open(io.BytesIO(data)).mode == "RGB"
    result, made = run(data, {"format": "png"}, {"format": "webp", "lossless": True}, {"format": "gif"})
    assert result["source"]["has_alpha"]
    for picture in made:
        assert _pixels(picture, (2, 2), (20, 20)) == [[CLEAR, BLUE], [CLEAR, RED]]
    assert all(output["duration_seconds"] == pytest.approx(0.14) for output in result["outputs"])


def test_the_facts_of_an_animation_describe_the_written_file(run: Run) -> None:
    """Compare with the files, because writers merge equal frames."""
    equal = [GifPart(0, 0, 20, 20, 1, hundredths=50)] * 4
    formats = ("webp", "png", "gif", "avif")
    result, made = run(gif((20, 20), equal), *({"format": format} for format in formats))
    told = [(output.get("frames", 1), output.get("duration_seconds", 0)) for output in result["outputs"]]
    assert told == [(1, 0), (1, 0), (1, 2.0), (4, 2.0)]
    assert [getattr(picture, "n_frames", 1) for picture in made] == [frames for frames, _ in told]
    result, made = run(
        gif((20, 20), [*equal, GifPart(0, 0, 20, 20, 2, hundredths=10)]), *({"format": format} for format in formats)
    )
    told = [(output.get("frames", 1), output.get("duration_seconds", 0)) for output in result["outputs"]]
    assert [getattr(picture, "n_frames", 1) for picture in made] == [frames for frames, _ in told]
    assert [seconds for _, seconds in told] == [pytest.approx(2.1)] * 4


def test_a_part_larger_than_the_canvas_counts_separately_against_the_limit(run: Run) -> None:
    data = gif((8, 8), [GifPart(0, 0, 8, 8, 1), GifPart(0, 0, 40, 40, 2)])
    _, (made,) = run(data, {"format": "png"}, max_pixels=1600)
    assert _pixels(made, (7, 7)) == [[RED], [GREEN]]
    with pytest.raises(PermanentError, match="the image, or a part of it, has more pixels than the allowed 1599"):
        run(data, {"format": "png"}, max_pixels=1599)
