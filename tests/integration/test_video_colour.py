"""Colours and tracks of real videos, seen through decoders of the tests that believe the tags of the outputs."""

from pathlib import Path

import pytest
from PIL import Image

from dtqs.errors import PermanentError
from dtqs.processors.image import cicp
from dtqs.processors.video import VideoProcessor
from dtqs.processors.video.payload import VideoPayload
from dtqs.processors.video.settings import VideoSettings
from tests.support.films import FAST, Run, ffmpeg, frames, opened
from tests.support.fix_processors import Attempt

GREEN = (0, 192, 0)
PIXEL = tuple[int, ...]


def plain(path: Path, colour: str, *options: str, size: str = "64x48", graph: str = "null") -> Path:
    """Make a film of one colour; the options say how it is written."""
    ffmpeg("-f", "lavfi", "-i", f"color={colour}:s={size}:r=5:d=0.6,format=rgb24", "-vf", graph, *options, path)
    return path


def tracks(path: Path, colour: str, *ways: tuple[str, dict[str, str]]) -> Path:
    """Make a video of one colour with a video track for each way of writing it.

    A way is the size and the options, of which `vf` are filters.
    """
    inputs, outputs = [], []
    for number, (size, options) in enumerate(ways):
        inputs += ["-f", "lavfi", "-i", f"color={colour}:s={size}:r=5:d=0.6,format=rgb24"]
        outputs += ["-map", str(number)]
        for name, value in options.items():
            outputs += [f"-filter:v:{number}" if name == "vf" else f"-{name}:v:{number}", value]
    ffmpeg(*inputs, *outputs, path)
    return path


def matrix(name: str, reach: str = "tv") -> str:
    return f"scale=out_color_matrix={name}:out_range={reach},format=yuv420p"


def looked(*paths: Path) -> list[Image.Image]:
    """Return the frames that a player shows that believes the tags of a video and fails without them.

    One ffmpeg reads all videos.
    """
    pictures = {
        path: opened(path)
        for path in paths
        if path.read_bytes()[:4] in (b"\x89PNG", b"RIFF", b"GIF8") or path.read_bytes()[:2] == b"\xff\xd8"
    }
    if films := [path for path in paths if path not in pictures]:
        inputs = [word for path in films for word in ("-i", path)]
        graph = ("-frames:v", "1", "-vf", "zscale=matrix=gbr:range=full,format=gbrp")
        outputs = [
            word
            for number, path in enumerate(films)
            for word in ("-map", f"{number}:v", *graph, path.with_suffix(".ppm"))
        ]
        ffmpeg(*inputs, *outputs)
    seen = [pictures[path] if path in pictures else Image.open(path.with_suffix(".ppm")) for path in paths]
    return [
        picture.convert("RGBA" if "A" in picture.mode or "transparency" in picture.info else "RGB") for picture in seen
    ]


def pixel(picture: Image.Image, at: tuple[float, float] = (0.5, 0.5)) -> PIXEL:
    found = picture.getpixel((int(picture.width * at[0]), int(picture.height * at[1])))
    assert isinstance(found, tuple)
    return found


def near(pixel: PIXEL, colour: PIXEL, tolerance: int = 6) -> bool:
    return all(abs(one - other) <= tolerance for one, other in zip(pixel, colour, strict=True))


HD, SD = "64x720", "64x48"
"""Players take films without tags for BT.709 from 720 lines on."""
H264 = {"c": "libx264", "preset": "ultrafast"}
UNSAID = ",setparams=colorspace=unknown"
SOURCES = {
    "hd-untagged": (HD, {**H264, "vf": matrix("bt709") + UNSAID}),
    "sd-untagged": (SD, {**H264, "vf": matrix("bt601") + UNSAID}),
    "sd-of-bt709": (SD, {**H264, "colorspace": "bt709", "vf": matrix("bt709")}),
    "full-range": (
        SD,
        {**H264, "color_range": "pc", "colorspace": "bt709", "vf": matrix("bt709", "pc") + ",setparams=range=pc"},
    ),
    "rgb": (HD, {"c": "qtrle"}),
    "mjpeg": (HD, {"c": "mjpeg", "q": "2", "vf": matrix("bt601", "pc").replace("yuv420p", "yuvj420p")}),
    "smpte240m": (SD, {**H264, "colorspace": "smpte240m", "vf": matrix("smpte240m")}),
}
EVERY = ({"format": "poster"}, {"format": "webp"}, {"format": "gif"}, {"format": "sprite", "interval_seconds": 0.3})
"""Outputs that ffmpeg converts from RGB, as it does a PNG."""


def test_every_output_shows_the_colour_of_its_source(transcode: Run, sources: Path) -> None:
    source = tracks(sources / "source.mov", "0x00C000", *SOURCES.values())
    asked = [
        {"video_track": number, **kind}
        for number in range(len(SOURCES))
        for kind in ({"width": 32, **FAST}, {"format": "png"})
    ]
    made = [
        path
        for output, path in transcode(source, *asked, *({"video_track": 0, **kind} for kind in EVERY), max_outputs=30)
        if output["media_type"] != "text/vtt"
    ]
    seen = [pixel(picture)[:3] for picture in looked(*made)]
    assert len(seen) == len(asked) + len(EVERY)
    assert all(near(colour, GREEN) for colour in seen), dict(
        zip([f"{name} {kind}" for name in SOURCES for kind in ("film", "png")], seen, strict=False)
    )


DISC = (
    "format=rgba,geq=r=255:g='if(lt(hypot(X-32,Y-24),12),0,0)':b='if(lt(hypot(X-32,Y-24),12),0,255)'"
    ":a='if(lt(hypot(X-32,Y-24),12),255,0)'"
)
CLEAR = ({"format": "png"}, {"format": "webp"}, {"format": "gif"})
FLAT = ({**FAST}, {"format": "poster"}, {"background": "#00c000", **FAST})


def test_transparency_is_kept_or_gets_a_background_and_never_shows_its_hidden_colour(
    transcode: Run, sources: Path
) -> None:
    """A red disc; around it, fully transparent, magenta is hidden."""
    source = plain(sources / "disc.mov", "magenta", "-c:v", "qtrle", "-pix_fmt", "argb", graph=DISC)
    corner, black = (0.05, 0.05), (0, 0, 0)
    made = [
        path for _, path in transcode(source, *CLEAR, *FLAT, {"format": "png", "width": 16}, {"format": "webm", **FAST})
    ]
    pictures = looked(*made[:7])
    assert [(pixel(picture, corner)[3], pixel(picture)[3]) for picture in pictures[:3]] == [(0, 255)] * 3
    assert near(pixel(pictures[0], corner), (0, 0, 0, 0))
    assert [
        near(pixel(picture, corner), colour, 10)
        for picture, colour in zip(pictures[3:6], (black, black, GREEN), strict=True)
    ] == [True] * 3
    assert [near(pixel(picture)[:3], (255, 0, 0), 10) for picture in pictures[:6]] == [True] * 6
    # half of each pixel of the edge is transparent in the smaller picture
    assert max(pictures[6].convert("RGB").getchannel("B").tobytes()) < 60
    again, flattened = looked(
        *(path for _, path in transcode(_copied(made[7], sources / "again.webm"), {"format": "png"}, FAST))
    )
    assert (pixel(again, corner)[3], pixel(again)[3]) == (0, 255)
    assert near(pixel(flattened, corner), black, 10)


def _copied(path: Path, to: Path) -> Path:
    to.write_bytes(path.read_bytes())
    return to


HDR = {
    "transfer=smpte2084": ("transfer=smpte2084", "transfer=smpte2084:colormatrix=bt2020nc"),
    "transfer=arib-std-b67": ("transfer=arib-std-b67",),
}


def test_a_high_dynamic_range_of_incomplete_tags_is_taken_for_bt2020(transcode: Run, sources: Path) -> None:
    """Compare for each curve a track with all tags and tracks that lack some of them."""
    said = [
        tags
        for curve, incomplete in HDR.items()
        for tags in (f"{curve}:colormatrix=bt2020nc:colorprim=bt2020", *incomplete)
    ]
    graph = "scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le"
    ways = [
        (SD, {"c": "libx265", "x265-params": f"log-level=error:pools=1:{tags}", "preset": "ultrafast", "vf": graph})
        for tags in said
    ]
    source = tracks(sources / "hdr.mp4", "0x306090", *ways)
    asked = [{"video_track": number, **kind} for number in range(len(said)) for kind in (FAST, {"format": "png"})]
    seen = [pixel(picture)[:3] for picture in looked(*(path for _, path in transcode(source, *asked)))]
    pairs = list(zip(seen[::2], seen[1::2], strict=True))
    assert pairs[1:3] == [pairs[0]] * 2
    assert pairs[4] == pairs[3]
    assert all(near(*pair) for pair in pairs)


def test_a_watermark_and_bars_have_their_own_colours_on_a_film_of_high_definition(
    transcode: Run, sources: Path
) -> None:
    source = plain(sources / "film.mp4", "gray", "-c:v", "libx264", "-colorspace", "bt709", graph=matrix("bt709"))
    Image.new("RGBA", (20, 20), "#00c000").save(sources / "mark.png")
    mark = {"source": f"file:{sources}/mark.png", "position": "centre", "width_fraction": 0.5, "margin": 0}
    pad = {"width": 64, "height": 64, "fit": "pad", "background": "#00c000"}
    made = transcode(
        source,
        {"watermark": mark, **FAST},
        {"format": "webp", "watermark": mark},
        {**pad, **FAST},
        {**pad, "format": "png"},
    )
    *marked, barred, other = looked(*(path for _, path in made))
    for picture in marked:
        assert near(pixel(picture)[:3], GREEN, 8)
        assert near(pixel(picture, (0.05, 0.5))[:3], (128, 128, 128))
    for picture in (barred, other):
        assert near(pixel(picture, (0.5, 0.03))[:3], GREEN, 8)
        assert near(pixel(picture)[:3], (128, 128, 128))


def test_a_watermark_of_16_bits_or_with_a_profile_has_its_own_colours(transcode: Run, sources: Path) -> None:
    source = plain(sources / "film.mp4", "gray", "-c:v", "libx264", "-colorspace", "bt709", graph=matrix("bt709"))
    Image.new("I;16", (20, 20), 0x4000).save(sources / "deep.png")
    # red, in the numbers of Display P3
    Image.new("RGB", (20, 20), (234, 51, 35)).save(sources / "wide.png", icc_profile=cicp.profile((12, 13)))
    centre = {"position": "centre", "width_fraction": 0.5, "margin": 0}
    marks = ({"source": f"file:{sources}/{name}.png", **centre} for name in ("deep", "wide"))
    (_, deep), (_, wide) = transcode(source, *({"format": "webp", "quality": 100, "watermark": mark} for mark in marks))
    assert near(pixel(opened(deep).convert("RGB")), (64, 64, 64))
    assert near(pixel(opened(wide).convert("RGB")), (255, 0, 0))


def test_a_crop_counts_pixels_as_shown(transcode: Run, sources: Path) -> None:
    """Stored 72 wide, shown 102: the left half red, the right half green."""
    halves = (
        "-f",
        "lavfi",
        "-i",
        "color=red:s=36x58:r=5:d=0.4",
        "-f",
        "lavfi",
        "-i",
        "color=0x00C000:s=36x58:r=5:d=0.4",
    )
    ffmpeg(*halves, "-filter_complex", "hstack,setsar=64/45", "-pix_fmt", "yuv420p", sources / "wide.mp4")
    left, right = ({"x": x, "y": 0, "width": 10, "height": 58} for x in (38, 54))
    made = transcode(sources / "wide.mp4", {"format": "png", "crop": left}, {"format": "png", "crop": right})
    pictures = looked(*(path for _, path in made))
    assert [
        near(pixel(picture), colour, 10) for picture, colour in zip(pictures, ((255, 0, 0), GREEN), strict=True)
    ] == [True, True]


def test_a_picture_that_changes_its_size_is_letterboxed(transcode: Run, sources: Path) -> None:
    parts = [("-map", f"{number}", "-output_ts_offset", f"{number}", sources / f"{number}.ts") for number in (0, 1)]
    inputs = [
        word
        for size in ("64x36", "36x64")
        for word in ("-f", "lavfi", "-i", f"color=red:s={size}:r=5:d=1,format=yuv420p")
    ]
    ffmpeg(*inputs, *parts[0], *parts[1])
    (sources / "in.ts").write_bytes((sources / "0.ts").read_bytes() + (sources / "1.ts").read_bytes())
    ((_, path),) = transcode(sources / "in.ts", FAST)
    assert [pixel(frames(path)[8], at)[0] > 200 for at in ((0.1, 0.5), (0.5, 0.5), (0.9, 0.5))] == [False, True, False]


def test_the_default_track_is_taken_and_a_track_of_an_unread_codec_fails_only_what_needs_it(
    transcode: Run, sources: Path
) -> None:
    graph = "testsrc2=s=64x36:d=0.4:r=5,split[a][b];[a]scale=32:18[out0];[b]null[out1]"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        graph,
        "-map",
        "0",
        "-c:v",
        "libx264",
        "-disposition:v:0",
        "0",
        "-disposition:v:1",
        "default",
        sources / "two.mkv",
    )
    assert [made["width"] for made, _ in transcode(sources / "two.mkv", FAST, {"video_track": 0, **FAST})] == [64, 32]
    flash = ("-f", "lavfi", "-i", "sine=440:d=0.4:r=22050", "-c:v", "flv1", "-c:a", "nellymoser", "-ac", "1")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:d=0.4:r=5", *flash, sources / "flash.flv")
    assert len(transcode(sources / "flash.flv", {"format": "poster"}, {"mute": True, **FAST})) == 2
    with pytest.raises(
        PermanentError, match="audio track 0 has the codec nellymoser, which is not supported: allowed are AAC"
    ):
        transcode(sources / "flash.flv", FAST)


def test_a_sound_without_named_outputs_becomes_an_m4a_and_its_cover(attempt: Attempt, sources: Path) -> None:
    cover = (
        "-f",
        "lavfi",
        "-i",
        "color=red:s=30x30:d=1:r=1",
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "mjpeg",
        "-frames:v",
        "1",
        "-disposition:v",
        "attached_pic",
    )
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=1:r=48000", *cover, sources / "song.mp3")
    context = attempt.context()
    made = VideoProcessor(VideoSettings()).run(
        VideoPayload.model_validate({"source": f"file:{sources}/song.mp3"}), context
    )
    context.close()
    assert [output["media_type"] for output in made["outputs"]] == ["audio/mp4", "image/jpeg"]
