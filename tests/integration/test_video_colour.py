"""Colours and tracks of real films, seen through decoders of our own that believe the tags of what was made."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dtqs.errors import PermanentError
from dtqs.processors.video import VideoProcessor
from dtqs.processors.video.payload import VideoPayload
from dtqs.processors.video.settings import VideoSettings
from tests.support.films import FAST, Run, facts, ffmpeg, opened, runner
from tests.support.fix_processors import Attempt

GREEN = (0, 192, 0)
PIXEL = tuple[int, ...]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


@pytest.fixture
def run(attempt: Attempt, sources: Path) -> Run:
    return runner(attempt, sources)


def plain(path: Path, colour: str, *options: str, size: str = "64x48", graph: str = "null") -> Path:
    """Make a film of one colour; the options say how it is written."""
    ffmpeg("-f", "lavfi", "-i", f"color={colour}:s={size}:r=5:d=0.6,format=rgb24", "-vf", graph, *options, path)
    return path


def matrix(name: str, reach: str = "tv") -> str:
    return f"scale=out_color_matrix={name}:out_range={reach},format=yuv420p"


def shown(path: Path, at: tuple[float, float] = (0.5, 0.5)) -> PIXEL:
    """The pixel that a player shows who believes the tags, and fails without them."""
    seen = facts(path).get("video", {})
    if path.read_bytes()[:4] in (b"\x89PNG", b"RIFF", b"GIF8") or path.read_bytes()[:2] == b"\xff\xd8":
        picture: Any = opened(path).convert(
            "RGBA" if "A" in opened(path).mode or "transparency" in opened(path).info else "RGB"
        )
    else:
        names = {"bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601"}
        options = f"in_color_matrix={names[seen['color_space']]}:in_range={seen['color_range']}"
        data = ffmpeg(
            "-i", path, "-frames:v", "1", "-vf", f"scale={options},format=gbrp,format=rgb24", "-f", "rawvideo", "-"
        )
        picture = Image.frombytes("RGB", (seen["width"], seen["height"]), data)
    pixel = picture.getpixel((int(picture.width * at[0]), int(picture.height * at[1])))
    assert isinstance(pixel, tuple)
    return pixel


def near(pixel: PIXEL, colour: PIXEL, tolerance: int = 6) -> bool:
    return all(abs(one - other) <= tolerance for one, other in zip(pixel, colour, strict=True))


ALL = (
    {"width": 32, **FAST},
    {"format": "poster"},
    {"format": "png"},
    {"format": "webp"},
    {"format": "gif"},
    {"format": "sprite", "interval_seconds": 0.3},
)
H264 = ("-c:v", "libx264")
SOURCES = {
    "hd-tagged": ((*H264, "-colorspace", "bt709"), {"size": "1280x720", "graph": matrix("bt709")}),
    "hd-untagged": (H264, {"size": "1280x720", "graph": matrix("bt709") + ",setparams=colorspace=unknown"}),
    "sd-untagged": (H264, {"graph": matrix("bt601") + ",setparams=colorspace=unknown"}),
    "sd-of-bt709": ((*H264, "-colorspace", "bt709"), {"graph": matrix("bt709")}),
    "full-range": (
        (*H264, "-color_range", "pc", "-colorspace", "bt709"),
        {"graph": matrix("bt709", "pc") + ",setparams=range=pc"},
    ),
    "rgb": (("-c:v", "qtrle"), {"size": "1280x720"}),
    "png": (("-c:v", "png"), {}),
    "mjpeg": (
        ("-c:v", "mjpeg", "-q:v", "2"),
        {"size": "1280x720", "graph": matrix("bt601", "pc").replace("yuv420p", "yuvj420p")},
    ),
    "bt2020": ((*H264, "-colorspace", "smpte240m"), {"graph": matrix("smpte240m")}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_output_shows_the_colour_of_its_source(run: Run, sources: Path, name: str) -> None:
    options, how = SOURCES[name]
    source = plain(sources / "source.mov", "0x00C000", *options, **how)
    made = [(output, path) for output, path in run(source, *ALL) if output["media_type"] != "text/vtt"]
    seen = {output["name"]: shown(path)[:3] for output, path in made}
    assert len(seen) == len(ALL)
    assert all(near(pixel, GREEN) for pixel in seen.values()), seen


DISC = "format=rgba,geq=r=255:g='if(lt(hypot(X-32,Y-24),12),0,0)':b='if(lt(hypot(X-32,Y-24),12),0,255)':a='if(lt(hypot(X-32,Y-24),12),255,0)'"
CLEAR = ({"format": "png"}, {"format": "webp"}, {"format": "gif"})
FLAT = ({**FAST}, {"format": "poster"}, {"background": "#00c000", **FAST}, {"format": "png", "background": "#00c000"})


def test_what_is_transparent_stays_so_or_gets_a_background_and_never_shows_its_hidden_colour(
    run: Run, sources: Path
) -> None:
    """A red disc; around it, fully transparent, magenta is hidden."""
    source = plain(sources / "disc.mov", "magenta", "-c:v", "qtrle", "-pix_fmt", "argb", graph=DISC)
    corner = (0.05, 0.05)
    made = run(source, *CLEAR, *FLAT, {"format": "png", "width": 16}, {"format": "webm", **FAST})
    clear, flat, small, (_, webm) = [path for _, path in made[:3]], [path for _, path in made[3:7]], made[7][1], made[8]
    assert [(shown(path, corner)[3], shown(path)[3]) for path in clear] == [(0, 255)] * 3
    assert near(shown(clear[0], corner), (0, 0, 0, 0))
    black, green = (0, 0, 0), GREEN
    assert [
        near(shown(path, corner)[:3], colour, 10)
        for path, colour in zip(flat, (black, black, green, green), strict=True)
    ] == [True] * 4
    assert [near(shown(path)[:3], (255, 0, 0), 10) for path in (*clear, *flat)] == [True] * 7
    # half of each pixel of the edge is transparent in the smaller picture
    assert opened(small).convert("RGB").getchannel("B").getextrema()[1] < 60
    (_, again), (_, flattened) = run(_copied(webm, sources / "again.webm"), {"format": "png"}, FAST)
    assert (shown(again, corner)[3], shown(again)[3]) == (0, 255)
    assert near(shown(flattened, corner), black, 10)


def _copied(path: Path, to: Path) -> Path:
    to.write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize(
    "said", ["transfer=smpte2084", "transfer=smpte2084:colormatrix=bt2020nc", "transfer=arib-std-b67"]
)
def test_a_high_dynamic_range_of_incomplete_tags_is_taken_for_bt2020(run: Run, sources: Path, said: str) -> None:
    def hdr(tags: str, name: str) -> list[PIXEL]:
        options = ("-c:v", "libx265", "-x265-params", f"log-level=error:{tags}", "-preset", "ultrafast")
        graph = "scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le"
        source = plain(sources / name, "0x306090", *options, graph=graph)
        return [shown(path)[:3] for _, path in run(source, FAST, {"format": "png"}, {"format": "poster"})]

    curve = said.partition(":")[0]
    seen, right = hdr(said, "part.mp4"), hdr(f"{curve}:colormatrix=bt2020nc:colorprim=bt2020", "whole.mp4")
    assert seen == right
    assert near(seen[0], seen[1])
    assert near(seen[0], seen[2])


def test_a_watermark_and_bars_have_their_own_colours_on_a_film_of_high_definition(run: Run, sources: Path) -> None:
    source = plain(sources / "film.mp4", "gray", *H264, "-colorspace", "bt709", graph=matrix("bt709"))
    Image.new("RGBA", (20, 20), "#00c000").save(sources / "mark.png")
    mark = {"source": f"file:{sources}/mark.png", "position": "centre", "width_fraction": 0.5, "margin": 0}
    pad = {"width": 64, "height": 64, "fit": "pad", "background": "#00c000"}
    for _, path in run(source, {"watermark": mark, **FAST}, {"format": "webp", "watermark": mark}):
        assert near(shown(path)[:3], GREEN, 8)
        assert near(shown(path, (0.05, 0.5))[:3], (128, 128, 128))
    for _, path in run(source, {**pad, **FAST}, {**pad, "format": "png"}):
        assert near(shown(path, (0.5, 0.03))[:3], GREEN, 8)
        assert near(shown(path)[:3], (128, 128, 128))


def test_a_crop_counts_pixels_as_they_are_shown(run: Run, sources: Path) -> None:
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
    made = run(sources / "wide.mp4", {"format": "png", "crop": left}, {"format": "png", "crop": right})
    assert [
        near(shown(path)[:3], colour, 10) for (_, path), colour in zip(made, ((255, 0, 0), GREEN), strict=True)
    ] == [True, True]


def test_a_picture_that_changes_its_size_is_letterboxed(run: Run, sources: Path) -> None:
    for name, size, begin in (("a", "64x36", "0"), ("b", "36x64", "1")):
        ffmpeg(
            "-f",
            "lavfi",
            "-i",
            f"color=red:s={size}:r=5:d=1",
            "-pix_fmt",
            "yuv420p",
            "-output_ts_offset",
            begin,
            sources / f"{name}.ts",
        )
    (sources / "in.ts").write_bytes((sources / "a.ts").read_bytes() + (sources / "b.ts").read_bytes())
    ((_, path),) = run(sources / "in.ts", FAST)
    data = ffmpeg("-i", path, "-vf", "select=eq(n\\,8)", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    last = Image.frombytes("RGB", (64, 36), data)
    pixels = [last.getpixel(at) for at in ((5, 18), (32, 18), (58, 18))]
    assert [isinstance(pixel, tuple) and pixel[0] > 200 for pixel in pixels] == [False, True, False]


def test_the_default_track_is_taken_and_a_track_of_an_unread_codec_fails_only_what_needs_it(
    run: Run, sources: Path
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
    assert [made["width"] for made, _ in run(sources / "two.mkv", FAST, {"video_track": 0, **FAST})] == [64, 32]
    flash = ("-f", "lavfi", "-i", "sine=440:d=0.4:r=22050", "-c:v", "flv1", "-c:a", "nellymoser", "-ac", "1")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:d=0.4:r=5", *flash, sources / "flash.flv")
    assert len(run(sources / "flash.flv", {"format": "poster"}, {"mute": True, **FAST})) == 2
    with pytest.raises(PermanentError, match="sound is nellymoser, which is not read here: allowed are AAC"):
        run(sources / "flash.flv", FAST)


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
