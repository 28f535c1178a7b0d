"""Every operation on an image, measured at its output: size, place and colour."""

import io
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFilter, ImageStat

from dtqs.errors import PermanentError
from dtqs.processors.image.payload import ImagePayload
from tests.support.fix_images import (
    MEDIA,
    QUARTERS,
    Run,
    difference,
    near,
    processor,
    profile,
    quarters,
    saved,
    upright,
    with_hole,
)
from tests.support.fix_processors import Attempt

RED, GREEN, BLUE, YELLOW = QUARTERS
PLACES = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
CAT = (MEDIA / "chelsea.png").read_bytes()


def _one(run: Run, data: bytes, **output: Any) -> Image.Image:
    picture: Image.Image = run(data, {"format": "png", **output})[1][0]
    return picture


def _alpha(picture: Image.Image, at: tuple[float, float]) -> int:
    pixel = picture.convert("RGBA").getpixel((int((picture.width - 1) * at[0]), int((picture.height - 1) * at[1])))
    assert isinstance(pixel, tuple)
    return int(pixel[3])


def _spread(picture: Image.Image) -> float:
    return max(ImageStat.Stat(picture.convert("RGB")).stddev)


@pytest.mark.parametrize(
    ("crop", "size", "colours"),
    [
        ({"left": 0, "top": 0, "width": 200, "height": 100}, (200, 100), [RED] * 4),
        ({"left": 200, "top": 100, "width": 900, "height": 900}, (200, 100), [YELLOW] * 4),
        (
            {"left": 50, "top": 0, "width": 50, "height": 100, "unit": "percent"},
            (200, 200),
            [GREEN, GREEN, YELLOW, YELLOW],
        ),
        ({"width": 100, "height": 100}, (100, 100), QUARTERS),
        ({"width": 100, "height": 100, "gravity": "bottom-left"}, (100, 100), [BLUE] * 4),
        ({"width": 100, "height": 100, "gravity": "right"}, (100, 100), [GREEN, GREEN, YELLOW, YELLOW]),
    ],
)
def test_a_crop_keeps_its_part_and_is_resized_afterwards(
    run: Run, crop: dict[str, Any], size: tuple[int, int], colours: list[str]
) -> None:
    _, (whole, small) = run(
        saved(quarters(), "png"), {"crop": crop, "format": "png"}, {"crop": crop, "width": 20, "format": "png"}
    )
    assert whole.size == size
    assert small.size == (20, 20 * size[1] // size[0])
    for picture in (whole, small):
        assert all(near(picture, place, colour) for place, colour in zip(PLACES, colours, strict=True))


def test_a_crop_outside_the_image_fails_permanently(run: Run) -> None:
    with pytest.raises(
        PermanentError, match="output o0: the crop begins at 400, 0, outside the image of 400 × 200 pixels"
    ):
        run(saved(quarters(), "png"), {"crop": {"left": 400, "top": 0, "width": 10, "height": 10}})


@pytest.mark.parametrize(
    ("gravity", "colours"),
    [("left", [RED, RED, BLUE, BLUE]), ("right", [GREEN, GREEN, YELLOW, YELLOW]), ("top", QUARTERS)],
)
def test_cover_keeps_the_requested_side(run: Run, gravity: str, colours: list[str]) -> None:
    picture = _one(run, saved(quarters(), "png"), width=100, height=100, fit="cover", gravity=gravity)
    assert picture.size == (100, 100)
    assert all(near(picture, place, colour) for place, colour in zip(PLACES, colours, strict=True))


@pytest.mark.parametrize("at", [20, 300, 560])
def test_smart_gravity_keeps_the_detailed_area(run: Run, at: int) -> None:
    picture = Image.new("RGB", (640, 200), "#406080")
    picture.paste(Image.open(MEDIA / "chelsea.png").resize((60, 60)), (at, 70))
    for asked in (
        {"fit": "cover", "width": 200, "height": 200},
        {"crop": {"width": 120, "height": 120, "gravity": "smart"}},
    ):
        made = _one(run, saved(picture, "png"), gravity="smart", **asked)
        assert _spread(made) > 25
        centre = made.crop((made.width // 4, made.height // 4, 3 * made.width // 4, 3 * made.height // 4))
        assert _spread(centre) > 10


def test_pad_fills_the_box_with_a_colour_the_blurred_image_or_transparency(run: Run) -> None:
    _, made = run(
        saved(quarters(), "png"),
        *(
            {"width": 100, "height": 100, "fit": "pad", "format": "png", **more}
            for more in ({}, {"pad_with": "#123456"}, {"pad_with": "blur"})
        ),
        {"width": 100, "height": 100, "fit": "pad", "format": "jpeg"},
        {"width": 100, "height": 100, "fit": "pad", "format": "png", "gravity": "top", "background": "#ff00ff"},
    )
    assert all(picture.size == (100, 100) for picture in made)
    assert _alpha(made[0], (0.5, 0)) == 0
    assert all(upright(picture.crop((0, 25, 100, 75))) for picture in made[:4])
    assert near(made[1], (0.5, 0.01), "#123456")
    assert near(made[2], (0.05, 0.05), RED, 60)
    assert near(made[3], (0.5, 0.01), "#ffffff")
    assert upright(made[4].crop((0, 0, 100, 50)))
    assert near(made[4], (0.5, 0.99), "#ff00ff")


@pytest.mark.parametrize(
    ("asked", "size", "colours"),
    [
        ({"rotate": 90}, (200, 400), [BLUE, RED, YELLOW, GREEN]),
        ({"rotate": -90}, (200, 400), [GREEN, YELLOW, RED, BLUE]),
        ({"rotate": 180}, (400, 200), [YELLOW, BLUE, GREEN, RED]),
        ({"flip": "horizontal"}, (400, 200), [GREEN, RED, YELLOW, BLUE]),
        ({"flip": "vertical"}, (400, 200), [BLUE, YELLOW, RED, GREEN]),
        ({"flip": "both"}, (400, 200), [YELLOW, BLUE, GREEN, RED]),
        ({"rotate": 90, "flip": "horizontal"}, (200, 400), [RED, BLUE, GREEN, YELLOW]),
    ],
)
def test_turns_and_flips_move_the_quarters(
    run: Run, asked: dict[str, Any], size: tuple[int, int], colours: list[str]
) -> None:
    picture = _one(run, saved(quarters(), "png"), **asked)
    assert picture.size == size
    assert all(near(picture, place, colour) for place, colour in zip(PLACES, colours, strict=True))


def test_a_turn_by_any_angle_enlarges_the_canvas_and_fills_the_corners(run: Run) -> None:
    _, (holed, filled) = run(
        saved(quarters(), "png"),
        {"rotate": 45, "format": "png"},
        {"rotate": 45, "format": "png", "background": "#000080"},
    )
    assert holed.size == filled.size
    assert abs(holed.width - 424) <= 2
    assert _alpha(holed, (0, 0)) == 0
    assert near(filled, (0.01, 0.01), "#000080")
    assert near(filled, (0.5, 0.25), RED)  # the part left above the centre is now above it


def test_blur_smooths_and_sharpen_strengthens_edges(run: Run) -> None:
    _, (plain, soft, sharp) = run(CAT, *({"format": "png", **more} for more in ({}, {"blur": 4}, {"sharpen": 2})))

    def edges(picture: Image.Image) -> float:
        return ImageStat.Stat(picture.convert("L").filter(ImageFilter.FIND_EDGES)).mean[0]

    assert edges(soft) < edges(plain) / 3
    assert edges(sharp) > edges(plain) * 1.5
    assert all(abs(a - b) < 3 for a, b in zip(ImageStat.Stat(soft).mean, ImageStat.Stat(plain).mean, strict=True))


def test_a_blur_reveals_no_hidden_colour(run: Run) -> None:
    picture = Image.new("RGBA", (100, 100), (0, 255, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 50, 100))
    red, green, _, alpha = _one(run, saved(picture, "png"), blur=5).getpixel((49, 50))  # type: ignore[misc]
    assert 0 < alpha < 255
    assert green < 10 < red


def test_tones_change_as_requested(run: Run) -> None:
    asked: tuple[dict[str, Any], ...] = (
        {},
        {"grayscale": True},
        {"brightness": 0.5},
        {"contrast": 0},
        {"saturation": 0},
        {"saturation": 2},
    )
    _, (plain, grey, dark, flat, dull, loud) = run(CAT, *({"format": "png", "width": 100, **more} for more in asked))
    assert grey.mode == "L"
    assert difference(grey, dull) < 2
    assert abs(ImageStat.Stat(dark).mean[0] - ImageStat.Stat(plain).mean[0] / 2) < 1
    assert _spread(flat) < 1

    def colour(picture: Image.Image) -> float:
        return ImageStat.Stat(picture.convert("HSV")).mean[1]

    assert colour(loud) > 1.5 * colour(plain)


def test_corners_are_round_and_a_border_follows_them(run: Run) -> None:
    _, (round_, framed, flat, circle) = run(
        saved(quarters(), "png"),
        {"corner_radius": 40, "format": "png"},
        {"corner_radius": 40, "border": {"width": 10, "color": "#ff00ff"}, "format": "png"},
        {"corner_radius": 40, "border": {"width": 10, "color": "#ff00ff"}, "format": "jpeg", "quality": 95},
        {"crop": {"width": 100, "height": 100}, "corner_radius": 9999, "format": "webp"},
    )
    assert [picture.size for picture in (round_, framed, flat, circle)] == [(400, 200)] * 3 + [(100, 100)]
    assert all(
        _alpha(picture, (across, down)) == 0
        for picture in (round_, framed, circle)
        for across in (0, 1)
        for down in (0, 1)
    )
    assert upright(round_)
    assert near(framed, (0.5, 0.02), "#ff00ff")
    assert near(framed, (0.03, 0.06), "#ff00ff")  # inside the curve
    assert upright(framed)
    assert near(flat, (0.0, 0.0), "#ffffff")
    assert _alpha(circle, (0.5, 0.01)) > 200
    assert _alpha(circle, (0.1, 0.1)) == 0


def test_a_watermark_image_has_the_requested_place_and_strength(run: Run, source: Callable[[bytes], str]) -> None:
    mark = source(saved(Image.new("RGBA", (40, 20), "#ffffff"), "png")).replace("source.jpg", "mark.png")
    picture = saved(Image.new("RGB", (200, 100), "#000000"), "png")
    source(saved(Image.new("RGB", (40, 20), "#ffffff"), "png"))
    folder = mark.removeprefix("file:").rpartition("/")[0]
    with open(f"{folder}/mark.png", "wb") as file:
        file.write(saved(Image.new("RGB", (40, 20), "#ffffff"), "png"))
    shared = {"source": mark, "scale": 0.2, "margin": 10}
    _, (corner, faint, tiled) = run(
        picture,
        {"format": "png", "watermark": {**shared, "position": "bottom-right", "opacity": 1.0}},
        {"format": "png", "watermark": {**shared, "position": "top-left", "opacity": 0.5}},
        {"format": "png", "watermark": {**shared, "tile": True, "opacity": 1.0}},
    )
    assert corner.convert("L").getbbox() == (150, 70, 190, 90)
    assert faint.convert("L").getbbox() == (10, 10, 50, 30)
    assert near(faint, (0.15, 0.2), "#808080", 2)
    assert ImageStat.Stat(tiled.convert("L")).mean[0] == pytest.approx(255 * 40 * 20 * 4 * 3.5 / (200 * 100), rel=0.15)


def test_a_watermark_text_has_the_requested_width_and_is_inside(run: Run) -> None:
    picture = saved(Image.new("RGB", (400, 200), "#000000"), "png")
    _, (made, tall) = run(
        picture,
        {
            "format": "png",
            "watermark": {"text": "© Ada 2026", "scale": 0.5, "opacity": 1, "color": "#00ff00", "position": "centre"},
        },
        {"format": "png", "watermark": {"text": "a\nb\nc\nd", "scale": 1.0, "opacity": 1}},
    )
    box = made.getbbox()
    assert box
    assert box[2] - box[0] == pytest.approx(200, abs=6)
    assert (box[0] + box[2]) / 2 == pytest.approx(200, abs=3)
    assert made.convert("RGB").getextrema()[0] == (0, 0)
    assert made.convert("RGB").getextrema()[1] == (0, 255)
    assert tall.getbbox()


def test_a_watermark_that_is_no_image_fails_permanently(run: Run, source: Callable[[bytes], str]) -> None:
    uri = source(b"%PDF-1.7\n")
    with pytest.raises(PermanentError, match="the file is a PDF"):
        run(b"%PDF-1.7\n", {"watermark": {"source": uri}})


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif", "auto"])
def test_the_quality_is_lowered_until_the_file_fits(run: Run, format: str) -> None:
    result, made = run(
        CAT, {"format": format}, {"format": format, "max_bytes": 9000}, {"format": format, "max_bytes": 900_000}
    )
    sizes = [output["size_bytes"] for output in result["outputs"]]
    assert sizes[0] == sizes[2] > 9000 >= sizes[1] > 6000
    assert difference(made[0], made[1]) < 12


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_a_jpeg_may_have_more_bytes_than_pixels(run: Run, subsampling: str) -> None:
    noise = Image.frombytes("RGB", (700, 700), random.Random(1).randbytes(3 * 700 * 700))
    asked = {"format": "jpeg", "subsampling": subsampling}
    result, made = run(
        saved(noise, "png"),
        *(asked | {"quality": quality} for quality in (82, 94, 95, 100)),
        asked | {"quality": 95, "max_bytes": 300_000},
        asked | {"progressive": False},
    )
    sizes = [output["size_bytes"] for output in result["outputs"]]
    assert sizes[:4] == sorted(sizes[:4])
    assert sizes[3] > 700 * 700
    assert 250_000 < sizes[4] <= 300_000
    assert difference(made[3], noise) < difference(made[0], noise)


def test_an_output_that_cannot_fit_fails_permanently(run: Run) -> None:
    with pytest.raises(
        PermanentError, match=r"output o0 has \d+ bytes even with the lowest quality; allowed are 500 \(max_bytes\)"
    ):
        run(CAT, {"format": "jpeg", "max_bytes": 500})
    with pytest.raises(PermanentError, match=r"output o0 has \d+ bytes as png, which is lossless; allowed are 500"):
        run(CAT, {"format": "png", "max_bytes": 500})


def test_a_palette_has_the_requested_number_of_colours(run: Run) -> None:
    result, made = run(CAT, {"format": "png"}, {"format": "png", "colors": 16}, {"format": "gif", "colors": 8})
    assert [picture.mode for picture in made[1:]] == ["P", "P"]
    assert len(made[1].convert("RGB").getcolors() or ()) <= 16
    assert len(made[2].convert("RGB").getcolors() or ()) <= 8
    assert result["outputs"][1]["size_bytes"] < result["outputs"][0]["size_bytes"] / 2
    assert difference(made[0], made[1]) < 25


def test_jpegs_are_progressive_and_subsampled_as_requested(run: Run) -> None:
    asked: tuple[dict[str, Any], ...] = ({}, {"progressive": False}, {"subsampling": "4:4:4"})
    _, made = run(CAT, *({"format": "jpeg", **more} for more in asked))
    assert ["progressive" in picture.info for picture in made] == [True, False, True]
    assert [picture.layer[0][1:3] for picture in made] == [(2, 2), (2, 2), (1, 1)]  # type: ignore[attr-defined]


def test_a_lossless_webp_loses_nothing(run: Run) -> None:
    made = _one(run, CAT, format="webp", lossless=True)
    assert difference(made, Image.open(io.BytesIO(CAT))) == 0


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif", "tiff"])
def test_a_profile_is_kept_with_its_colours_on_request(run: Run, format: str) -> None:
    data = (MEDIA / "rocket.jpg").read_bytes()  # its pixels are in Adobe RGB
    stored = Image.open(io.BytesIO(data))
    _, (kept, converted) = run(data, {"format": format, "keep_profile": True}, {"format": format})
    assert kept.info["icc_profile"] == stored.info["icc_profile"]
    small = [picture.resize((64, 43), Image.Resampling.BOX) for picture in (stored, kept, converted)]
    assert difference(small[0], small[1]) < 1.5
    assert difference(small[0], small[2]) > 2
    assert "icc_profile" not in converted.info


def test_cmyk_is_kept_if_the_format_has_it(run: Run) -> None:
    said_to_be_of_inks = profile("sRGB")[:16] + b"CMYK" + profile("sRGB")[20:]
    data = saved(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), "tiff", icc_profile=said_to_be_of_inks)
    asked: tuple[dict[str, Any], ...] = (
        {"format": "jpeg"},
        {"format": "tiff"},
        {"format": "png"},
        {"format": "jpeg", "grayscale": True},
    )
    _, made = run(data, *({"keep_profile": True, **more} for more in asked))
    assert [picture.mode for picture in made] == ["CMYK", "CMYK", "RGB", "L"]
    assert ["icc_profile" in picture.info for picture in made] == [True, True, False, False]
    assert all(near(picture, (0.5, 0.5), RED) for picture in made[:3])


def test_grey_by_a_grey_profile_stays_grey(run: Run) -> None:
    made = _one(run, saved(Image.new("L", (20, 20), 100), "png", icc_profile=profile("sRGB")))
    assert made.mode == "L"
    assert near(made, (0.5, 0.5), "#646464")


def test_the_summary_describes_the_visible_pixels(run: Run) -> None:
    result, _ = run(saved(with_hole(), "png"), {"width": 20})
    assert result["dominant_color"] == "#ff0000"
    assert len(result["blurhash"]) == 28
    assert result["source"]["has_alpha"] is True
    picture = Image.new("RGB", (300, 200), "#204080")
    picture.paste("#ffffff", (0, 0, 60, 200))
    assert run(saved(picture, "png"), {})[0]["dominant_color"] == "#204080"


ORDINARY = st.fixed_dictionaries(
    {"format": st.sampled_from(["jpeg", "png", "webp", "gif", "tiff", "avif"])},
    optional={
        "width": st.integers(1, 300),
        "height": st.integers(1, 300),
        "fit": st.sampled_from(["contain", "cover", "stretch", "pad"]),
        "gravity": st.sampled_from(["centre", "top-left", "right", "smart"]),
        "enlarge": st.booleans(),
        "flip": st.sampled_from(["horizontal", "vertical", "both"]),
        "rotate": st.sampled_from([0, 90, 33.3]),
        "blur": st.sampled_from([0, 2.5]),
        "grayscale": st.booleans(),
        "saturation": st.sampled_from([0, 1.5]),
        "background": st.just("#00ff00"),
        "corner_radius": st.integers(0, 500),
        "watermark": st.fixed_dictionaries({"text": st.just("©"), "tile": st.booleans()}),
        "border": st.fixed_dictionaries({"width": st.integers(1, 400)}),
        "crop": st.fixed_dictionaries(
            {"width": st.integers(1, 100), "height": st.integers(1, 100)},
            optional={"gravity": st.sampled_from(["smart", "left"])},
        ),
        "keep_profile": st.booleans(),
    },
)
MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mode=st.sampled_from(MODES), size=st.tuples(st.integers(1, 90), st.integers(1, 90)), output=ORDINARY)
def test_every_combination_of_operations_works_on_every_image(
    attempt: Attempt, source: Callable[[bytes], str], mode: str, size: tuple[int, int], output: dict[str, Any]
) -> None:
    picture = Image.new("L", size, 90).convert(mode) if mode not in ("I;16", "F") else Image.new(mode, size, 90)
    payload = ImagePayload.model_validate(
        {"source": source(saved(picture, "tiff")), "outputs": [{"name": "a", **output}]}
    )
    result = processor().run(payload, attempt.context())
    with attempt.space.open_input(result["outputs"][0]["uri"]) as file:
        made = Image.open(file)
        made.load()
    assert made.size == (result["outputs"][0]["width"], result["outputs"][0]["height"])
    if "width" in output and not output.get("rotate"):
        assert made.width <= output["width"]


def test_a_grey_profile_in_a_cmyk_image_does_not_fail_it(run: Run) -> None:
    odd = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    made = _one(run, saved(Image.new("RGB", (20, 20), RED), "png", icc_profile=odd), keep_profile=True)
    assert near(made, (0.5, 0.5), RED)
