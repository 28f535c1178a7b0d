"""Animations and documents with pages: every frame of each output is checked."""

import io
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageSequence

from dtqs.errors import PermanentError
from dtqs.processors.image import work
from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.settings import ImageSettings
from tests.support.fix_images import QUARTERS, Run, difference, near, quarters, saved

RED, GREEN, BLUE, YELLOW = QUARTERS
COLOURS = (RED, GREEN, BLUE)
MILLISECONDS = [100, 250, 40]


def _animation(format: str, mode: str = "RGB", **options: Any) -> bytes:
    """Return three frames, each with a square of another colour at another place, on transparency or white."""
    frames = []
    for number, colour in enumerate(COLOURS):
        frame = Image.new("RGBA", (120, 60), (0, 0, 0, 0) if mode == "RGBA" else "#ffffff")
        frame.paste(colour, (40 * number, 10, 40 * number + 40, 50))
        if mode == "RGBA":
            frame.putpixel(
                (0, 0), (0, 0, 0, 128)
            )  # else a WebP says that it has no alpha, its frames being nothing but the squares
        frames.append(frame.convert(mode))
    options = {
        "duration": MILLISECONDS,
        "loop": 0,
        "disposal": 2 if mode == "RGBA" and format != "webp" else 0,
    } | options
    return saved(
        frames[0],
        format,
        save_all=True,
        append_images=frames[1:],
        **{k: v for k, v in options.items() if k != "disposal" or format == "gif"},
    )


def _frames(picture: Image.Image) -> list[tuple[Image.Image, Any]]:
    return [(frame.convert("RGBA"), picture.info.get("duration")) for frame in ImageSequence.Iterator(picture)]


@pytest.mark.parametrize("to", ["gif", "webp", "png", "avif"])
def test_a_frame_that_stays_very_long_is_cut_to_the_longest_time(run: Run, to: str) -> None:
    result, (made,) = run(_animation("webp", duration=[700_000, 20, 2_000]), {"format": to})
    assert [time for _, time in _frames(made)] == [655_350, 20, 2_000]
    assert result["outputs"][0]["duration_seconds"] == 657.37


def test_a_frame_without_a_time_is_shown_in_an_avif_as_browsers_show_it(run: Run) -> None:
    result, (made, other) = run(_animation("gif", duration=[0, 250, 0]), {"format": "avif"}, {"format": "webp"})
    assert [time for _, time in _frames(made)] == [100, 250, 100]
    assert [time for _, time in _frames(other)] == [0, 250, 0]
    assert [output["duration_seconds"] for output in result["outputs"]] == [0.45, 0.25]


def test_equal_frames_that_together_stay_too_long_for_a_gif_are_cut(run: Run) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, RED, BLUE)]
    data = saved(frames[0], "avif", save_all=True, append_images=frames[1:], duration=[400_000, 400_000, 100])
    result, (made,) = run(data, {"format": "gif"})
    assert [time for _, time in _frames(made)] == [655_350, 100]
    assert result["outputs"][0]["duration_seconds"] == 655.45


def _steps(format: str, times: list[float], **options: Any) -> bytes:
    """Return one frame for each time; no frame equals the next one."""
    frames = [Image.new("RGB", (4, 4), (50 * (number % 5), 0, 0)) for number in range(len(times))]
    more = {"lossless": True} if format == "webp" else {"speed": 10} if format == "avif" else {}
    return saved(frames[0], format, save_all=True, append_images=frames[1:], duration=times, **more, **options)


def _delays(picture: Image.Image) -> list[float]:
    """Return the times as they stand in the file. Pillow rounds those of an AVIF to whole milliseconds."""
    return [time for _, time in _frames(picture)]


@pytest.mark.parametrize("to", ["gif", "webp", "png", "avif"])
@pytest.mark.parametrize(
    ("of", "times"),
    [
        ("png", [1000 / 30] * 30),
        ("png", [1000 / 24, 1000 / 48] * 15),
        ("webp", [25] * 30),
        ("webp", [33, 33, 34] * 10),
        ("webp", [26, 1004, 21, 37] * 5),
        ("avif", [25] * 30),
    ],
)
def test_rounding_of_times_does_not_add_up(run: Run, of: str, times: list[float], to: str) -> None:
    result, (made,) = run(_steps(of, times), {"format": to})
    delays, unit = _delays(made), 10 if to == "gif" else 1
    assert len(delays) == len(times)
    for number in range(len(times)):
        assert abs(delays[number] - times[number]) <= unit
        assert abs(sum(delays[: number + 1]) - sum(times[: number + 1])) <= unit
    assert result["outputs"][0]["duration_seconds"] == pytest.approx(sum(times) / 1000, abs=unit / 1000)


def test_a_frame_of_an_avif_keeps_its_part_of_a_second(run: Run) -> None:
    """30 frames in a second: each has 33 or 34 ms. Pillow writes whole milliseconds, so the clock is changed here."""
    data = bytearray(_steps("avif", [1] * 30))
    at = data.index(b"mdhd") + 4
    size = 8 if data[at] == 1 else 4
    clock = at + 4 + 2 * size
    assert int.from_bytes(data[clock : clock + 4], "big") == 1000
    data[clock : clock + 4] = (30).to_bytes(4, "big")
    result, (made,) = run(bytes(data), {"format": "png"})
    assert len(_delays(made)) == 30
    assert sum(_delays(made)) == pytest.approx(1000, abs=1)
    assert result["outputs"][0]["duration_seconds"] == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize("milliseconds", [11, 15, 1000 / 60, 19])
def test_a_gif_has_no_frame_that_browsers_slow_down_if_its_source_has_none(run: Run, milliseconds: float) -> None:
    """Browsers show a frame of 10 ms for 100 ms."""
    _, (made, other) = run(_steps("png", [milliseconds] * 20), {"format": "gif"}, {"format": "webp"})
    assert _delays(made) == [20] * 20
    assert sum(_delays(other)) == pytest.approx(20 * milliseconds, abs=1)
    _, (made,) = run(_steps("webp", [10, 1000, 10]), {"format": "gif"})
    assert _delays(made) == [10, 1000, 10]


@pytest.mark.parametrize("milliseconds", [65_535, 65_537, 70_001, 655_349])
def test_an_apng_holds_any_time(run: Run, milliseconds: int) -> None:
    """Its numbers end at 65535."""
    result, (made,) = run(_steps("webp", [20, milliseconds, 20]), {"format": "png"})
    assert sum(_delays(made)) == pytest.approx(milliseconds + 40, abs=5)
    assert result["outputs"][0]["frames"] == 3


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("to", ["gif", "webp", "png", "avif", "auto"])
@pytest.mark.parametrize("of", ["gif", "webp", "png", "avif"])
def test_an_animation_stays_one_with_its_times(run: Run, of: str, to: str, mode: str) -> None:
    result, (made,) = run(
        _animation(of, mode),
        {"width": 60, "format": to, "quality": 95} if to not in ("gif", "png") else {"width": 60, "format": to},
    )
    facts = result["outputs"][0]
    assert (facts["frames"], facts["width"], facts["height"]) == (3, 60, 30)
    assert facts["duration_seconds"] == pytest.approx(0.39, abs=0.02)
    assert result["source"]["frames"] == 3
    frames = _frames(made)
    assert [round(milliseconds) for _, milliseconds in frames] == pytest.approx(MILLISECONDS, abs=10)
    for number, (frame, _) in enumerate(frames):
        assert near(frame, (1 / 6 + number / 3, 0.5), COLOURS[number], 24)
        others = [frame.getpixel((10 + 20 * other, 15)) for other in range(3) if other != number]
        if mode == "RGBA":
            assert all(pixel[3] < 20 for pixel in others)  # type: ignore[index]
        else:
            assert all(min(pixel[:3]) > 235 for pixel in others)  # type: ignore[index]


@pytest.mark.parametrize(
    ("of", "loop", "shown"), [("gif", 0, 0), ("gif", 2, 3), ("gif", None, 1), ("webp", 3, 3), ("png", 1, 1)]
)
def test_an_animation_repeats_as_often_as_its_source(run: Run, of: str, loop: int | None, shown: int) -> None:
    data = _animation(of, loop=loop) if loop is not None else _without_loop()
    _, (gif, webp, png) = run(data, *({"format": format} for format in ("gif", "webp", "png")))
    assert (webp.info["loop"], png.info["loop"]) == (shown, shown)
    assert gif.info.get("loop") == {0: 0, 1: None, 3: 2}[shown]


def _without_loop() -> bytes:
    frames = [Image.new("RGB", (20, 20), colour) for colour in COLOURS]
    return saved(frames[0], "gif", save_all=True, append_images=frames[1:], duration=MILLISECONDS)


def test_the_first_frame_is_taken_without_an_animated_output(run: Run) -> None:
    _, made = run(
        _animation("gif"),
        {"format": "jpeg"},
        {"format": "tiff"},
        {"format": "gif", "animated": False},
        {"format": "webp", "page": 2},
    )
    assert [getattr(picture, "n_frames", 1) for picture in made] == [1] * 4
    assert all(near(picture, (1 / 6, 0.5), RED, 20) for picture in made[:3])
    assert near(made[3], (0.5, 0.5), GREEN, 20)


def test_operations_apply_to_every_frame(run: Run) -> None:
    _, (made,) = run(
        _animation("webp"),
        {"format": "png", "rotate": 90, "border": {"width": 5, "color": "#ff00ff"}, "watermark": {"text": "©"}},
    )
    frames = _frames(made)
    assert [frame.size for frame, _ in frames] == [(60, 120)] * 3
    assert all(near(frame, (0.5, 0.01), "#ff00ff") for frame, _ in frames)
    assert near(frames[2][0], (0.5, 5 / 6), BLUE, 24)


def test_an_image_may_be_its_own_watermark(run: Run, source: Callable[[bytes], str]) -> None:
    data = _animation("webp")
    _, (made,) = run(
        data,
        {
            "format": "png",
            "watermark": {"source": source(data), "scale": 0.1, "opacity": 1, "position": "bottom-right", "margin": 0},
        },
    )
    frames = _frames(made)
    assert [
        near(frame, (1 / 6 + number / 3, 0.5), COLOURS[number], 24) for number, (frame, _) in enumerate(frames)
    ] == [True] * 3
    assert all(near(frame, (110 / 120, 57 / 60), RED, 60) for frame, _ in frames)


def test_an_apng_with_a_separate_still_image_shows_only_its_frames(run: Run) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (YELLOW, *COLOURS)]
    data = saved(frames[0], "png", save_all=True, append_images=frames[1:], default_image=True, duration=MILLISECONDS)
    result, (made, still) = run(data, {"format": "webp", "quality": 95}, {"format": "png", "animated": False})
    assert result["outputs"][0]["frames"] == 3
    assert near(_frames(made)[0][0], (0.5, 0.5), RED, 20)
    assert near(still, (0.5, 0.5), YELLOW)


def test_the_frames_of_an_animation_are_limited_in_number_and_in_size(run: Run) -> None:
    data = _animation("gif")
    with pytest.raises(PermanentError, match="the image has 3 frames; allowed are 2, or a single one"):
        run(data, {"format": "webp"}, max_frames=2)
    with pytest.raises(PermanentError, match="the image has 120 × 60 pixels; allowed are 7000"):
        run(data, {"format": "webp"}, max_pixels=7000)
    with pytest.raises(PermanentError, match="output o0 would have 240 × 120 pixels; allowed are"):
        run(data, {"format": "webp", "width": 240, "enlarge": True}, max_pixels=10000)
    run(data, {"format": "webp"}, {"page": 3}, max_pixels=10000)


@pytest.mark.parametrize("of", ["gif", "webp", "png", "avif"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_frames_too_many_for_the_memory_are_made_one_by_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, of: str, mode: str
) -> None:
    """Compare the files of both ways. The work runs in this process, so that the test can change its limit."""
    outputs = [{"name": format, "format": format, "width": 60} for format in ("gif", "webp", "png", "avif")] + [
        {"name": "few", "format": "gif", "colors": 4}
    ]
    held, streamed = (_worked(_animation(of, mode), outputs, monkeypatch, part) for part in (8, 1 << 40))
    for asked, one, other in zip(outputs, held, streamed, strict=True):
        assert (one.encoded.frames, one.encoded.milliseconds) == (other.encoded.frames, other.encoded.milliseconds), (
            asked
        )
        pictures = [Image.open(io.BytesIO(made.encoded.data)) for made in (one, other)]
        for (left, _), (right, _) in zip(*(_frames(picture) for picture in pictures), strict=True):
            assert difference(left, right) < 8
            assert difference(left.getchannel("A"), right.getchannel("A")) < 8


def _worked(data: bytes, outputs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, part: int) -> list[work.Made]:
    monkeypatch.setattr(work, "_HELD_PART", part)
    made: list[work.Made] = []
    payload = ImagePayload.model_validate({"source": "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42", "outputs": outputs})
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        work.Work(payload, ImageSettings(), {payload.source: file}, made.append).run()
    return sorted(made, key=lambda each: each.index)


def test_an_ordinary_animation_is_made_even_if_its_frames_add_up_to_many_pixels(run: Run) -> None:
    """Make 125 frames of 800 × 600 pixels: 60 million pixels together."""
    picture = Image.new("P", (800, 600))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    frames = []
    for number in range(125):
        frame = picture.copy()
        frame.paste(1, (number, 0, number + 8, 8))
        frames.append(frame)
    data = saved(frames[0], "gif", save_all=True, append_images=frames[1:], duration=40)
    result, _ = run(data, {"width": 80, "format": "webp"})
    assert (result["outputs"][0]["frames"], result["outputs"][0]["duration_seconds"]) == (125, 5.0)


def _document() -> bytes:
    pages = [Image.new("RGB", size, colour) for size, colour in (((60, 80), RED), ((80, 60), GREEN), ((60, 80), BLUE))]
    buffer = io.BytesIO()
    pages[0].save(buffer, "tiff", save_all=True, append_images=pages[1:])
    return buffer.getvalue()


def test_each_page_of_a_document_can_be_taken(run: Run) -> None:
    result, made = run(
        _document(),
        *({"page": page, "width": 30, "format": "png"} for page in (3, 1, 2)),
        {"width": 30, "format": "webp"},
    )
    assert result["source"]["frames"] == 3
    assert [picture.size for picture in made] == [(30, 40), (30, 40), (30, 22), (30, 40)]
    assert all(
        near(picture, (0.5, 0.5), colour, 20) for picture, colour in zip(made, (BLUE, RED, GREEN, RED), strict=True)
    )


def test_a_missing_page_fails_permanently(run: Run) -> None:
    with pytest.raises(PermanentError, match="page 4 does not exist; the image has 3"):
        run(_document(), {"page": 4})
    with pytest.raises(PermanentError, match="page 2 does not exist; the image has 1"):
        run(saved(quarters(), "jpeg"), {"page": 2})
