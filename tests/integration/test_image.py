"""Real images as sources; every output is opened again and measured."""

import io

import pytest
from PIL import Image, ImageCms
from PIL.ExifTags import IFD

from dtqs.processors.image.encode import Finished, encode
from dtqs.processors.image.payload import ImageOutput
from tests.support.fix_images import MEDIA, Run, difference, near, profile, quarters, saved, upright, with_hole
from tests.support.fix_processors import Attempt


def test_a_photograph_becomes_three_thumbnails(run: Run, attempt: Attempt) -> None:
    result, made = run((MEDIA / "rocket.jpg").read_bytes())
    assert [output["name"] for output in result["outputs"]] == ["thumb-160", "thumb-480", "thumb-1280"]
    assert list(result["outputs"][0]) == ["name", "uri", "media_type", "size_bytes", "sha256", "width", "height"]
    assert [picture.size for picture in made] == [(160, 107), (480, 320), (640, 427)]
    assert result["source"] == {
        "media_type": "image/jpeg", "format": "jpeg", "width": 640, "height": 427, "orientation": 1,
        "color_mode": "RGB",
        "has_profile": True, "has_alpha": False, "size_bytes": 112525, "frames": 1,
    }  # fmt: skip
    assert attempt.reports.fractions == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]
    stored = Image.open(MEDIA / "rocket.jpg")  # its pixels are in Adobe RGB
    full = ImageCms.profileToProfile(stored, io.BytesIO(stored.info["icc_profile"]), ImageCms.createProfile("sRGB"))
    assert full is not None
    for picture in made:
        best = full.resize(picture.size, Image.Resampling.LANCZOS)
        only_coded = Image.open(io.BytesIO(saved(best, "jpeg", quality=82)))
        assert difference(picture, best) < 1.1 * difference(only_coded, best)


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "gif", "tiff", "avif"])
def test_every_format_is_read_and_written(run: Run, format: str) -> None:
    result, made = run(
        saved(quarters(), format),
        *({"width": 200, "format": out} for out in ("jpeg", "png", "webp", "gif", "tiff", "avif")),
    )
    assert result["source"]["format"] == format
    assert [picture.format for picture in made] == ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF"]
    for picture in made:
        assert picture.size == (200, 100)
        assert upright(picture)


@pytest.mark.parametrize("format", ["jpeg", "tiff", "webp", "png", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_once(run: Run, orientation: int, format: str) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = quarters() if orientation == 1 else quarters().transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    result, made = run(
        saved(stored, format, exif=exif),
        {"width": 100, "format": "png"},
        {"width": 50, "height": 50, "fit": "cover", "keep_metadata": True},
    )
    stated = {name: result["source"][name] for name in ("width", "height", "orientation")}
    assert stated == {"width": 400, "height": 200, "orientation": orientation}
    assert made[0].size == (100, 50)
    assert all(upright(picture) for picture in made)
    assert all(0x0112 not in picture.getexif() for picture in made)


def test_no_viewer_turns_a_tiff_once_more(run: Run) -> None:
    data = saved(quarters().transpose(Image.Transpose.ROTATE_90), "tiff", tiffinfo={0x0112: 6, 0x013B: "Ada"})
    _, made = run(data, *({"format": format, "keep_metadata": True} for format in ("tiff", "jpeg", "png", "avif")))
    for picture in made:
        assert picture.getexif()[0x013B] == "Ada"
        assert upright(picture)
        assert 0x0112 not in picture.getexif()


def test_cover_crops_and_stretch_does_not(run: Run) -> None:
    picture = Image.new("RGB", (300, 100), "#00ff00")
    picture.paste("#ff0000", (0, 0, 100, 100))
    _, (cover, stretch) = run(
        saved(picture, "png"),
        {"width": 50, "height": 50, "fit": "cover"},
        {"width": 50, "height": 50, "fit": "stretch"},
    )
    assert near(cover, (0.1, 0.5), "#00ff00")
    assert near(stretch, (0.1, 0.5), "#ff0000")


def test_an_output_made_from_another_looks_like_one_made_from_the_source(run: Run) -> None:
    data = (MEDIA / "astronaut.png").read_bytes()
    sizes = [{"width": width, "format": "png"} for width in (512, 400, 250, 100, 33)]
    _, together = run(data, *sizes)
    for size, picture in zip(sizes, together, strict=True):
        _, (alone,) = run(data, size)
        assert difference(picture, alone) < 1.5


def test_an_image_is_enlarged_only_on_request(run: Run) -> None:
    _, made = run(saved(quarters(), "png"), {"width": 800}, {"width": 800, "enlarge": True})
    assert [picture.size for picture in made] == [(400, 200), (800, 400)]
    assert upright(made[1])


def test_the_quality_is_obeyed(run: Run) -> None:
    data = (MEDIA / "chelsea.png").read_bytes()
    for format in ("jpeg", "webp", "avif"):
        result, _ = run(data, *({"format": format, "quality": quality} for quality in (10, 50, 95)))
        sizes = [output["size_bytes"] for output in result["outputs"]]
        assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("format", ["png", "webp", "gif", "tiff", "avif"])
def test_transparency_is_kept_or_becomes_white_where_the_format_has_none(run: Run, format: str) -> None:
    data = saved(with_hole(), "png")
    _, (kept, flat, painted) = run(
        data, {"format": format}, {"format": "jpeg"}, {"format": format, "background": "#0000ff"}
    )
    assert kept.convert("RGBA").getpixel((90, 50))[3] == 0  # type: ignore[index]
    assert kept.convert("RGBA").getpixel((10, 50))[3] == 255  # type: ignore[index]
    assert near(flat, (0.9, 0.5), "#ffffff")
    assert near(painted, (0.9, 0.5), "#0000ff")
    assert all(near(picture, (0.1, 0.5), "#ff0000") for picture in (kept, flat, painted))


def test_the_format_auto_is_chosen_by_content(run: Run) -> None:
    cat = Image.open(MEDIA / "chelsea.png").convert("RGB")
    assert [picture.format for picture in run(saved(cat, "png"), {}, {"grayscale": True})[1]] == ["JPEG", "JPEG"]
    assert [picture.format for picture in run(saved(cat, "png"), {"corner_radius": 20})[1]] == ["WEBP"]
    assert [picture.format for picture in run(saved(with_hole(), "png"), {}, {"background": "#ffffff"})[1]] == [
        "PNG",
        "PNG",
    ]


def test_a_palette_with_a_transparent_colour_keeps_its_colours(run: Run) -> None:
    picture = Image.new("P", (100, 100), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.paste(0, (0, 0, 50, 100))
    _, (made,) = run(saved(picture, "png", transparency=0), {"width": 50, "format": "png"})
    assert made.mode == "RGBA"
    assert made.getpixel((10, 25))[3] == 0  # type: ignore[index]
    assert made.getpixel((40, 25)) == (255, 0, 0, 255)


def test_a_transparent_colour_does_not_bleed_into_an_edge(run: Run) -> None:
    picture = Image.new("RGBA", (100, 100), (0, 255, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 51, 100))
    _, (made,) = run(saved(picture, "png"), {"width": 10, "format": "png"})
    red, green, _, alpha = made.getpixel((5, 5))  # type: ignore[misc]
    assert 0 < alpha < 255
    assert green < 10 < red


@pytest.mark.parametrize(("mode", "top"), [("I;16", 65535), ("I", 65535), ("F", 1.0), ("F", 255.0), ("L", 255)])
def test_numbers_of_any_depth_become_the_grey_that_they_mean(run: Run, mode: str, top: float) -> None:
    picture = Image.new(mode, (4, 1))
    picture.putdata([0 if mode != "F" else 0.0, *(type(top)(top * part) for part in (0.25, 0.5, 1))])
    _, (made,) = run(saved(picture, "tiff"), {"format": "png"})
    assert made.mode == "L"
    assert all(abs(value - wanted) <= 1 for value, wanted in zip(made.tobytes(), (0, 63, 127, 255), strict=True))


def test_a_bitmap_becomes_grey(run: Run) -> None:
    picture = Image.new("1", (100, 100), 1)
    picture.paste(0, (0, 0, 50, 100))
    _, (made,) = run(saved(picture, "png"), {"width": 25, "format": "png"})
    assert [made.getpixel((at, 10)) for at in (5, 20)] == [0, 255]


def _swapped_profile() -> bytes:
    """Return an RGB profile with red and green exchanged, so that a reader that ignores it is found out."""
    data = bytearray(profile("sRGB"))
    entries = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data).replace("sRGB built-in".encode("utf-16-be"), "swap built-in".encode("utf-16-be"))


def test_an_embedded_profile_is_converted_to_srgb_and_dropped(run: Run) -> None:
    data = saved(Image.new("RGB", (20, 20), "#ff0000"), "png", icc_profile=_swapped_profile())
    _, made = run(data, {"format": "png"}, {"format": "webp"}, {"width": 10})
    for picture in made:
        assert near(picture, (0.5, 0.5), "#00ff00")
        assert "icc_profile" not in picture.info


def test_alpha_survives_the_conversion_of_a_profile(run: Run) -> None:
    _, (made,) = run(saved(with_hole(), "png", icc_profile=_swapped_profile()), {"format": "png"})
    assert made.getpixel((10, 10)) == (0, 255, 0, 255)
    assert made.getpixel((90, 10))[3] == 0  # type: ignore[index]


def test_a_broken_profile_is_ignored_and_reported(run: Run, attempt: Attempt) -> None:
    _, (made,) = run(saved(Image.new("RGB", (20, 20), "#ff0000"), "jpeg", icc_profile=b"x" * 200), {})
    assert near(made, (0.5, 0.5), "#ff0000")
    assert [level for level, message in attempt.reports.logs if "profile" in message] == ["warning"]


def test_cmyk_becomes_rgb(run: Run) -> None:
    picture = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    _, made = run(saved(picture, "jpeg", quality=95), {"format": "png"}, {"width": 20, "format": "jpeg"})
    assert [made_one.mode for made_one in made] == ["RGB", "RGB"]
    assert all(near(made_one, (0.5, 0.5), "#ff0000") for made_one in made)


def test_the_first_frame_of_an_animation_is_taken(run: Run) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("#ff0000", "#0000ff")]
    for format in ("gif", "webp", "png", "tiff"):
        _, (made,) = run(
            saved(frames[0], format, save_all=True, append_images=frames[1:]), {"format": "png", "animated": False}
        )
        assert near(made, (0.5, 0.5), "#ff0000")


def test_metadata_is_kept_only_on_request(run: Run) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    exif.get_ifd(0x8825)[1] = "N"
    data = saved(
        quarters(),
        "jpeg",
        exif=exif,
        comment=b"hello",
        xmp=b"<x:xmpmeta tiff:Orientation='6'><tiff:Orientation> 6 </tiff:Orientation></x:xmpmeta>",
        icc_profile=profile("sRGB"),
    )
    for format in ("jpeg", "png", "webp", "tiff", "avif"):
        _, (stripped, kept) = run(data, {"format": format}, {"format": format, "keep_metadata": True})
        assert 0x013B not in stripped.getexif()
        assert not {"exif", "xmp", "comment", "icc_profile"} & set(stripped.info)
        assert kept.getexif()[0x013B] == "Ada"
        assert kept.getexif().get_ifd(0x8825)[1] == "N"
        assert b"Orientation" not in kept.info.get("xmp", b"")


def test_kept_metadata_describe_the_output(run: Run) -> None:
    """The source's size and colours are no longer true; its colours are if its profile is kept."""
    with Image.open(MEDIA / "rocket.jpg") as rocket:
        adobe_rgb = rocket.info["icc_profile"]
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif).update({40961: 65535, 40962: 96, 40963: 64, 36867: "2026:11:30 10:00:00"})
    data = saved(quarters(), "jpeg", exif=exif, icc_profile=adobe_rgb)
    smaller = {"width": 20, "format": "jpeg", "keep_metadata": True}
    _, made = run(data, smaller, smaller | {"keep_profile": True})
    kept = [picture.getexif().get_ifd(IFD.Exif) for picture in made]
    assert [tags.keys() & {40962, 40963} for tags in kept] == [set(), set()]
    assert [tags[36867] for tags in kept] == ["2026:11:30 10:00:00"] * 2
    assert [tags[40961] for tags in kept] == [1, 65535]


def test_metadata_of_a_form_that_other_formats_lack_is_rewritten(run: Run) -> None:
    data = saved(quarters(), "tiff", big_tiff=True, tiffinfo={315: "Ada"})
    _, made = run(data, *({"format": format, "keep_metadata": True} for format in ("jpeg", "tiff", "webp")))
    assert all(upright(picture) and picture.getexif()[315] == "Ada" for picture in made)


def test_metadata_that_cannot_be_written_does_not_fail_the_image() -> None:
    output = ImageOutput(name="a", format="tiff")
    encoded = encode(Finished([quarters()]), output, {"exif": b"Exif\0\0II+\0 too short"})
    assert encoded.media_type == "image/tiff"
    assert upright(Image.open(io.BytesIO(encoded.data)))


def test_metadata_too_long_for_the_format_does_not_fail_the_image(run: Run) -> None:
    data = saved(quarters(), "webp", xmp=b"x" * 100_000)
    _, made = run(data, {"format": "jpeg", "keep_metadata": True}, {"format": "webp", "keep_metadata": True})
    assert ["xmp" in picture.info for picture in made] == [False, True]
