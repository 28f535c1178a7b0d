"""Colours of a file: by code points, by profiles under any name, and by plain numbers."""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from dtqs.errors import PermanentError
from dtqs.processors.image import cicp, hdr
from tests.support.fix_images import Run, difference, near, profile, quarters, saved
from tests.support.fix_pictures import chunk, png
from tests.support.fix_processors import Attempt

PICTURES = Path(__file__).parents[1] / "data" / "pictures"
PNG = {"format": "png"}
RED_IN_P3 = (234, 51, 35)
P3_IN_PNG = chunk(b"cICP", bytes((12, 13, 0, 1)))


def _row(colour: tuple[int, int, int]) -> bytes:
    return bytes(colour) * 40


@pytest.mark.parametrize("name", ["p3.avif", "p3.jxl"])
def test_colours_by_code_points_become_srgb(run: Run, name: str) -> None:
    _, (made, kept) = run((PICTURES / name).read_bytes(), PNG, {"format": "png", "keep_profile": True})
    assert near(made, (0.5, 0.5), "#ff0000", 2)
    assert "icc_profile" not in made.info
    assert near(kept, (0.5, 0.5), RED_IN_P3, 2)
    shown = ImageCms.profileToProfile(kept, io.BytesIO(kept.info["icc_profile"]), ImageCms.createProfile("sRGB"))
    assert shown is not None
    assert near(shown, (0.5, 0.5), "#ff0000", 2)


def test_all_that_is_drawn_has_its_colours_in_the_profile_that_is_kept(
    run: Run, source: Callable[[bytes], str]
) -> None:
    mark = Path(source(b"").removeprefix("file:")).with_name("mark.png")
    Image.new("RGB", (20, 20), "#ff0000").save(mark)
    stamp = {"source": f"file:{mark}", "scale": 1, "opacity": 1, "margin": 0, "position": "centre"}
    drawn: tuple[dict[str, Any], ...] = (
        {"watermark": stamp},
        {"border": {"width": 20, "color": "#ff0000"}},
        {"fit": "pad", "width": 90, "height": 30, "gravity": "right", "background": "#ff0000"},
    )
    blue = saved(Image.new("RGB", (30, 30), "#0000ff"), "png", icc_profile=cicp.profile((12, 13)))
    _, made = run(blue, *(each | {"format": "png", "keep_profile": True} for each in drawn))
    for picture in made:
        assert near(picture, (0.2, 0.5), RED_IN_P3, 2)
        assert picture.info["icc_profile"] == cicp.profile((12, 13))


def test_a_profile_is_kept_only_with_pixels_that_it_describes(run: Run) -> None:
    """Browsers ignore a profile of grey on colours, or refuse the image."""
    of_grey = profile("sRGB")[:16] + b"GRAY" + profile("sRGB")[20:]
    grey = saved(Image.new("L", (40, 40), 100), "png", icc_profile=of_grey)
    asked: tuple[dict[str, Any], ...] = (
        {"format": "png"},
        {"format": "jpeg", "brightness": 1.1},
        {"format": "avif"},
        {"format": "webp"},
        {"format": "avif", "subsampling": "4:4:4"},
        {"format": "png", "border": {"color": "#ff0000"}},
        {"format": "png", "colors": 8},
    )
    _, made = run(grey, *(each | {"keep_profile": True} for each in asked))
    assert ["icc_profile" in picture.info for picture in made] == [True, True, True, False, False, False, False]
    # "auto" makes a WebP of an animation
    frames = [Image.new("L", (40, 40), level) for level in (100, 200)]
    moving = saved(frames[0], "avif", save_all=True, append_images=frames[1:], duration=100, icc_profile=of_grey)
    auto = {"format": "auto", "keep_profile": True}
    _, made = run(moving, auto, auto | {"animated": False})
    assert ["icc_profile" in picture.info for picture in made] == [False, True]
    colour = saved(Image.new("RGB", (40, 40), "#00ff00"), "png", icc_profile=cicp.profile((12, 13)))
    _, (made_grey,) = run(colour, {"format": "png", "grayscale": True, "keep_profile": True})
    assert "icc_profile" not in made_grey.info


def test_hdr_is_tone_mapped(run: Run) -> None:
    """Check that reference white, 203 nits, is light and without a tint; brighter areas are lighter still."""
    _, (made,) = run((PICTURES / "pq.avif").read_bytes(), PNG)
    red, green, blue = made.getpixel((30, 30))  # type: ignore[misc]
    assert 210 <= min(red, green, blue) <= max(red, green, blue) <= 245
    assert max(red, green, blue) - min(red, green, blue) <= 2


@pytest.mark.parametrize("transfer", [16, 18])
def test_tone_mapped_hdr_keeps_the_order_of_brightness_up_to_white(transfer: int) -> None:
    steps = Image.frombytes("L", (256, 1), bytes(range(256)))
    pixels: Any = hdr.tone_mapped(steps, (9, transfer, 0, 1)).get_flattened_data()
    levels = [level for level, _, _ in pixels]
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert levels[-1] == 255
    assert levels[180] < 255


def test_alpha_survives_tone_mapping() -> None:
    picture = Image.new("RGBA", (2, 2), (148, 148, 148, 77))
    assert hdr.tone_mapped(picture, (9, 16, 0, 1)).getpixel((0, 0))[3] == 77  # type: ignore[index]


@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 9, 11, 12, 22])
@pytest.mark.parametrize("transfer", [4, 5, 8, 13, 17])
def test_a_profile_of_code_points_keeps_black_and_white(primaries: int, transfer: int) -> None:
    made = cicp.profile((primaries, transfer, 0, 1))
    if made is None:
        assert (primaries, transfer) == (1, 13)
        return
    steps = Image.new("RGB", (2, 1))
    steps.putpixel((1, 0), (255, 255, 255))
    shown = ImageCms.profileToProfile(steps, io.BytesIO(made), ImageCms.createProfile("sRGB"))
    assert shown is not None
    assert [shown.getpixel((x, 0)) for x in (0, 1)] == [
        pytest.approx((0, 0, 0), abs=1),
        pytest.approx((255, 255, 255), abs=1),
    ]


def test_code_points_of_a_png_win_over_its_profile(run: Run) -> None:
    body = _row(RED_IN_P3)
    for chunks in ([P3_IN_PNG], [P3_IN_PNG, chunk(b"iCCP", b"x\0\0" + zlib.compress(profile("sRGB")))]):
        _, (made,) = run(png((40, 30), 8, 2, body, *chunks), PNG)
        assert near(made, (0.5, 0.5), "#ff0000", 2)


def test_a_png_gamma_other_than_that_of_srgb_is_applied(run: Run) -> None:
    def shown(*chunks: bytes) -> Any:
        _, (made,) = run(png((40, 30), 8, 2, _row((128, 128, 128)), *chunks), PNG)
        return made.getpixel((5, 5))

    linear, usual = chunk(b"gAMA", struct.pack(">I", 100000)), chunk(b"gAMA", struct.pack(">I", 45455))
    assert shown(linear) == pytest.approx((188, 188, 188), abs=2)
    assert shown(usual) == shown(linear, chunk(b"sRGB", b"\0")) == (128, 128, 128)
    points = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    _, (made,) = run(png((40, 30), 8, 2, _row(RED_IN_P3), usual, chunk(b"cHRM", points)), PNG)
    assert near(made, (0.5, 0.5), "#ff0000", 3)


def _named_srgb() -> bytes:
    """Return a profile called sRGB that has red and green exchanged."""
    data = bytearray(profile("sRGB"))
    entries = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


def test_a_profile_is_applied_by_its_content_and_not_its_name(run: Run) -> None:
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(_named_srgb()))).startswith("sRGB")
    _, (made,) = run(saved(Image.new("RGB", (20, 20), "#ff0000"), "png", icc_profile=_named_srgb()), PNG)
    assert near(made, (0.5, 0.5), "#00ff00")


def test_a_true_profile_of_srgb_changes_nothing(run: Run) -> None:
    _, (made,) = run(saved(quarters(), "png", icc_profile=profile("sRGB")), PNG)
    assert difference(made, quarters()) == 0


def test_grey_with_a_colour_profile_is_converted(run: Run, attempt: Attempt) -> None:
    linear = cicp.profile((1, 8, 0, 1))
    _, (made,) = run(saved(Image.new("L", (20, 20), 128), "png", icc_profile=linear), PNG)
    assert made.getpixel((5, 5)) == pytest.approx(188, abs=2)
    assert attempt.reports.logs == []


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_profile_of_another_sort_is_ignored_and_reported(run: Run, attempt: Attempt, mode: str) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    _, (made,) = run(saved(Image.new(mode, (20, 20), "#808080"), "png", icc_profile=lab), PNG)
    assert near(made, (0.5, 0.5), "#808080")
    assert [level for level, message in attempt.reports.logs if "profile" in message] == ["warning"]


def test_the_area_outside_the_clean_aperture_is_not_shown(run: Run) -> None:
    result, (made,) = run((PICTURES / "aperture.avif").read_bytes(), PNG)
    assert (result["source"]["width"], result["source"]["height"]) == made.size == (30, 40)
    assert all(near(made, at, "#00ff00", 30) for at in ((0.02, 0.02), (0.98, 0.98), (0.5, 0.5)))


@pytest.mark.parametrize(("name", "shown"), [("aperture.avif", 30 * 40), ("p3_turned.heic", 48 * 64)])
def test_pixels_outside_the_clean_aperture_count(run: Run, name: str, shown: int) -> None:
    """They are decoded, too."""
    data = (PICTURES / name).read_bytes()
    run(data, PNG, max_pixels=64 * 64)
    with pytest.raises(PermanentError, match=f"has more pixels than the allowed {shown}"):
        run(data, PNG, max_pixels=shown)


def test_heic_is_upright_in_srgb_and_keeps_its_metadata(run: Run) -> None:
    data = (PICTURES / "p3_turned.heic").read_bytes()
    result, (made, small) = run(
        data, {"format": "jpeg", "keep_metadata": True, "quality": 95}, {"width": 24, "format": "webp"}
    )
    assert (result["source"]["format"], result["source"]["width"], result["source"]["height"]) == ("heic", 48, 64)
    assert made.getexif()[0x013B] == "Ada"
    assert 0x0112 not in made.getexif()
    assert near(made, (0.75, 0.25), "#00ff00", 20)
    assert near(made, (0.25, 0.75), "#ff0000", 12)
    assert small.size == (24, 32)


def test_the_first_frame_of_an_animated_jpeg_xl_is_shown(run: Run) -> None:
    result, (made,) = run((PICTURES / "animated.jxl").read_bytes(), {"format": "png", "keep_metadata": True})
    assert (result["source"]["format"], result["source"]["frames"]) == ("jxl", 1)
    assert made.size == (40, 30)
    assert near(made, (0.5, 0.5), "#ff0000")


@pytest.mark.parametrize("name", ["p3_turned.heic", "p3.jxl", "animated.jxl", "p3.avif", "aperture.avif"])
def test_garbage_in_rare_formats_is_refused_with_a_message(run: Run, name: str) -> None:
    whole = (PICTURES / name).read_bytes()
    for at in range(12, len(whole), max(1, len(whole) // 25)):
        for data in (whole[:at], whole[:at] + bytes((whole[at] ^ 0x5A,)) + whole[at + 1 :]):
            with suppress(PermanentError):
                run(data, {"width": 20, "format": "png"})


@pytest.mark.parametrize(
    ("format", "mode"), [("bmp", "RGB"), ("bmp", "P"), ("bmp", "1"), ("ico", "RGBA"), ("ico", "RGB")]
)
def test_bmp_and_ico_are_read(run: Run, format: str, mode: str) -> None:
    size = (64, 32) if format == "bmp" else (32, 32)
    picture = Image.new("RGB", size, "white").convert(mode)
    picture.paste(0 if mode in ("1", "P") else "#000000", (0, 0, size[0] // 2, size[1]))
    result, (made,) = run(saved(picture, format), PNG)
    assert result["source"]["format"] == format
    assert made.size == size
    assert near(made, (0.25, 0.5), "#000000")
    assert near(made, (0.75, 0.5), "#ffffff")
