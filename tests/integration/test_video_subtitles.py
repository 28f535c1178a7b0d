"""Subtitles of real videos: text of any author is read, and their other parts do no harm."""

from pathlib import Path
from typing import Any

import pytest

from dtqs.errors import PermanentError
from tests.integration.test_video_colour import looked, near, pixel
from tests.integration.test_video_time import ends
from tests.support.films import Run, ffmpeg, film, frames, runner, times
from tests.support.fix_processors import Attempt

FAST = {"speed": "ultrafast", "crf": 40}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "film.mp4", sound=False)


@pytest.fixture
def source(tmp_path: Path, clip: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "film.mp4").write_bytes(clip.read_bytes())
    return folder / "film.mp4"


@pytest.fixture
def run(attempt: Attempt, source: Path) -> Run:
    return runner(attempt, source.parent)


STYLED = (
    "WEBVTT\n\nSTYLE\n::cue{color:red}\n\nREGION\nid:fred\n\n00:01.000 --> 00:01.500 line:0 position:10%\n"
    "Hello <c.red>red</c>\n"
)


def carried(*paths: Path) -> list[str]:
    """Return the subtitles of each film as SubRip."""
    inputs = [word for path in paths for word in ("-i", path)]
    outputs = [word for number, path in enumerate(paths) for word in ("-map", f"{number}:s", path.with_suffix(".srt"))]
    ffmpeg(*inputs, *outputs)
    return [path.with_suffix(".srt").read_text() for path in paths]


def test_subtitles_with_styles_regions_and_settings_keep_their_cues(run: Run, source: Path) -> None:
    (source.parent / "text.vtt").write_text(STYLED)
    text: dict[str, Any] = {"source": f"file:{source.parent}/text.vtt", "mode": "carry", "language": "en"}
    burnt, kinds = (
        {"subtitles": text | {"mode": "burn"}, **FAST},
        ({**FAST}, {"format": "webm", **FAST}, {"format": "hls", "speed": "ultrafast"}),
    )
    made = run(source, *({"subtitles": text, **kind} for kind in kinds), burnt)
    listing = next(path for output, path in made if output["name"].endswith("subtitles.vtt"))
    assert "00:00:01,000 --> 00:00:01,500\nHello red" in carried(made[0][1])[0]
    assert b"line:0 position:10%\nHello <c.red>red</c>" in ffmpeg("-i", made[1][1], "-c", "copy", "-f", "webvtt", "-")
    assert listing.read_text() == STYLED.replace("00:01.", "00:00:01.")
    pictures = frames(made[-1][1])
    assert pictures[12].tobytes() != pictures[30].tobytes()
    (source.parent / "text.vtt").write_text("WEBVTT\n\nSTYLE\n::cue{}\n")
    with pytest.raises(PermanentError, match="the subtitles have no cue"):
        run(source, {"subtitles": text, **FAST})


def test_subrip_of_any_hand_is_read(run: Run, source: Path) -> None:
    texts = (
        "\ufeff1\r\n00:00:01,000 --> 00:00:01,500\r\n{\\an8}Hello\r\n",
        "1\r00:00:01,000 --> 00:00:01,500 X1:1 X2:9 Y1:1 Y2:9\rHello\r",
        "0:0:1,000 --> 0:0:1,500\nHello\n",
    )
    for number, text in enumerate(texts):
        (source.parent / f"{number}.srt").write_bytes(text.encode())
    outputs = (
        {"subtitles": {"source": f"file:{source.parent}/{number}.srt", "mode": "carry"}, **FAST}
        for number in range(len(texts))
    )
    for said in carried(*(path for _, path in run(source, *outputs))):
        assert "00:00:01,000 --> 00:00:01,500\nHello" in said


def test_a_line_separator_in_a_cue_hides_no_later_cue(run: Run, source: Path) -> None:
    """Word and some subtitle services write U+2028 for a line end."""
    text = "1\n00:00:00,000 --> 00:00:00,500\nHello\u2028[Music]\n\n2\n00:00:01,000 --> 00:00:02,000\nSecond\n"
    (source.parent / "word.srt").write_text(text)
    [(_, burnt)] = run(source, {"subtitles": {"source": f"file:{source.parent}/word.srt"}, **FAST})
    pictures = frames(burnt)
    assert pictures[18].tobytes() != pictures[30].tobytes()


CUE = "1\n00:00:02,200 --> 00:00:03,100\nHello\n"


def shown_from_to(path: Path) -> tuple[float, float]:
    """Return the begin and the end of the text, which is brighter than the video."""
    [moments] = times(path)
    bright = [max(picture.tobytes()) > 100 for picture in frames(path)]
    assert len(bright) == len(moments)
    first, after = bright.index(True), bright.index(False, bright.index(True))
    assert not any(bright[after:])
    return moments[first], moments[after]


@pytest.mark.parametrize("kind", [FAST, {"format": "webm", **FAST}, {"format": "hls", "speed": "ultrafast"}])
@pytest.mark.parametrize(
    ("name", "picture", "sound"),
    [
        ("slides.mp4", "r=1/2:d=6", "d=6"),
        ("one-picture.mp4", "r=1:d=1", "d=5"),
        ("cover.mkv", "r=25:d=0.04", "d=5"),
        ("gif.gif", "r=1/2:d=6", ""),
    ],
)
def test_subtitles_are_burnt_in_where_the_video_has_no_frame(
    run: Run, source: Path, kind: dict[str, Any], name: str, picture: str, sound: str
) -> None:
    tone = ("-f", "lavfi", "-i", f"sine=440:{sound}") if sound else ()
    ffmpeg("-f", "lavfi", "-i", f"color=black:s=160x90:{picture}", *tone, source.parent / name)
    (source.parent / "text.srt").write_text(CUE)
    made = run(source.parent / name, {"subtitles": {"source": f"file:{source.parent}/text.srt"}, **kind})
    [path] = [path for output, path in made if output["media_type"].startswith("video/")]
    assert shown_from_to(path) == pytest.approx((2.2, 3.1), abs=0.15)
    assert ends(path)[0][0] == pytest.approx(6.0 if "d=6" in picture else 5.0, abs=0.1)


def test_frames_keep_their_times_when_subtitles_get_more_of_them(run: Run, source: Path) -> None:
    """Check a video that stands still for 3 s, subtitles where it moves, and a part after the subtitles."""
    still = source.parent / "still.mp4"
    moving = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=30000/1001:d=5", "-vf", "select=lt(t\\,1)+gte(t\\,4)")
    ffmpeg(*moving, "-fps_mode", "vfr", "-bf", "0", still)
    (source.parent / "text.srt").write_text(CUE)
    (source.parent / "early.srt").write_text(CUE.replace(":02,200", ":00,200").replace(":03,100", ":00,900"))
    text, early = ({"subtitles": {"source": f"file:{source.parent}/{name}.srt"}} for name in ("text", "early"))
    made = run(still, text | FAST, early | FAST, {"start_seconds": 3.2, **text, **FAST})
    shown, filled, same, after = times(still, *(path for _, path in made))
    assert same == pytest.approx(shown, abs=0.0001)
    assert after == pytest.approx([0.0, *(moment - 3.2 for moment in shown if moment > 3.2)], abs=0.0001)
    assert filled == pytest.approx([number * 1001 / 30000 for number in range(len(filled))], abs=0.0005)
    assert len(filled) == 150


RED_BOX = """[Script Info]
PlayResX: 64
PlayResY: 720

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Outline, Shadow, Alignment
Style: Default,Sans,20,&H000000FF,0,0,7

[Events]
Format: Layer, Start, End, Style, Text
Dialogue: 0,0:00:00.00,0:00:05.00,Default,{\\pos(0,0)\\p1}m 0 0 l 64 0 64 360 0 360
"""


@pytest.mark.parametrize(("matrix", "lines"), [("bt709", 720), ("smpte170m", 48)])
def test_burnt_subtitles_have_their_own_colours_and_the_picture_keeps_its(
    run: Run, source: Path, matrix: str, lines: int
) -> None:
    """Draw over the upper half in red; the lower half keeps a green that the two matrices show differently."""
    graph = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"
    green = ("-f", "lavfi", "-i", f"color=0x00C000:s=64x{lines}:r=5:d=0.4,format=rgb24")
    film_path = source.parent / "green.mp4"
    ffmpeg(*green, "-vf", graph, "-c:v", "libx264", "-preset", "ultrafast", "-colorspace", matrix, film_path)
    (source.parent / "box.ass").write_text(RED_BOX)
    drawn = {"subtitles": {"source": f"file:{source.parent}/box.ass"}}
    kinds = ({**FAST, "crf": 10}, {"format": "hls", "crf": 10, "speed": "ultrafast"}, {"format": "webp"})
    made = run(film_path, *({**drawn, **kind} for kind in kinds))
    pictures = looked(*(path for output, path in made if output["media_type"] in ("video/mp4", "image/webp")))
    assert len(pictures) == len(kinds)
    for picture in pictures:
        assert near(pixel(picture, (0.5, 0.25))[:3], (255, 0, 0), 8)
        assert near(pixel(picture, (0.5, 0.75))[:3], (0, 192, 0), 8)
