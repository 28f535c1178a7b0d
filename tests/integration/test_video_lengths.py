"""Lengths of videos that do not state them, or state them wrongly: each is measured; a missing end is a failure."""

from pathlib import Path
from typing import Any

import pytest

from dtqs.errors import PermanentError
from dtqs.processors.video.command import TimeSpan
from dtqs.processors.video.excerpt import Excerpt
from dtqs.processors.video.studio import Source, Studio
from tests.integration.test_video_time import FAST, PART, SMALL, STREAM, WEBM, ends, media
from tests.support.films import Run, facts, ffmpeg, film, opened, times


def test_a_video_of_one_frame_makes_a_preview_of_one(transcode: Run, sources: Path) -> None:
    film(sources / "one.mp4", "-frames:v", "1", seconds=0.04, sound=False)
    made = transcode(
        sources / "one.mp4", {"preset": "preview"}, {"format": "gif"}, {"format": "sprite"}, WEBM, {"fps": 8, **FAST}
    )
    assert [getattr(opened(path), "n_frames", 1) for _, path in made[:2]] == [1, 1]
    assert [len(shown) for shown in times(media(made, "o3"), media(made, "o4"))] == [1, 1]


def test_coloured_bars_do_not_make_a_short_clip_longer(transcode: Run, sources: Path) -> None:
    film(sources / "short.mp4", seconds=0.4, sound=False)
    bars = {"width": 64, "height": 64, "fit": "pad", "background": "#123456"}
    columns = bars | {"crop": {"x": 0, "y": 0, "width": 20, "height": 60}, "end_seconds": 0.2}
    made = transcode(sources / "short.mp4", {**bars, **FAST}, {**columns, **FAST}, {**bars, **WEBM})
    assert [round(output["duration_seconds"], 1) for output, _ in made] == [0.4, 0.2, 0.4]
    assert [len(shown) for shown in times(*(path for _, path in made))] == [10, 5, 10]


@pytest.mark.parametrize("name", ["live.webm", "live.mp4"])
def test_a_video_without_a_stated_length_is_measured(transcode: Run, sources: Path, name: str) -> None:
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=64x48:d=3:r=25", "-f", "lavfi", "-i", "sine=440:d=3")
    how: tuple[str, ...] = (
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-c:a",
        "libopus",
        "-f",
        "webm",
        "-live",
        "1",
    )
    how = how if name == "live.webm" else (*SMALL, "-movflags", "empty_moov+frag_keyframe", "-f", "mp4")
    (sources / name).write_bytes(ffmpeg(*inputs, *how, "-"))
    others = (
        ({"format": "sprite", "interval_seconds": 1}, {"max_bytes": 60_000, "speed": "ultrafast"})
        if name == "live.webm"
        else ()
    )
    made = transcode(sources / name, PART, *others)
    assert made[0][0]["duration_seconds"] == pytest.approx(2, abs=0.1)
    assert [output["tiles"] for output, _ in made[1:2]] == [3][: len(others)]
    with pytest.raises(PermanentError, match=r"lasts 3 s; allowed are 2"):
        transcode(sources / name, FAST, max_duration_seconds=2)


def test_a_clock_that_begins_late_or_jumps_is_followed(transcode: Run, sources: Path) -> None:
    pieces: list[str | Path] = []
    # 33 bits of a clock of 90 kHz are full after 95,443.7 s
    for begin, name in (("95442.5", "wraps.ts"), ("100", "later.ts"), ("20", "earlier.ts")):
        pieces += ["-map", "0", "-map", "1", *SMALL, "-output_ts_offset", begin, sources / name]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=2:r=25", "-f", "lavfi", "-i", "sine=440:d=2", *pieces)
    (sources / "joined.ts").write_bytes((sources / "later.ts").read_bytes() + (sources / "earlier.ts").read_bytes())
    made = [
        transcode(sources / name, FAST, {"format": "sprite", "interval_seconds": 1})
        for name in ("wraps.ts", "joined.ts")
    ]
    films = [outputs[0][1] for outputs in made]
    assert ends(*films) == [pytest.approx([seconds, seconds], abs=0.15) for seconds in (2, 4)]
    assert [len(shown) for shown in times(*films)] == [50, 100]
    assert [outputs[1][0]["tiles"] for outputs in made] == [2, 4]


MARKS = ({"format": "mp3"}, STREAM, {"format": "gif"}, {"format": "sprite"})


@pytest.mark.parametrize(("name", "outputs"), [("film.mkv", (FAST, *MARKS)), ("film.mp4", (FAST, MARKS[0]))])
def test_a_video_without_its_end_is_refused_before_the_encode(
    transcode: Run, sources: Path, name: str, outputs: tuple[dict[str, Any], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = film(sources / name, "-g", "25", *(("-movflags", "+faststart") if name == "film.mp4" else ()), seconds=4)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    assert transcode(clip, {"end_seconds": 1, **FAST}), "a part before the end can be made"
    monkeypatch.setattr(
        "dtqs.processors.video.studio.Studio.run", lambda *_, **__: pytest.fail("the video was encoded")
    )
    for output in outputs:
        with pytest.raises(
            PermanentError,
            match=r"the source is cut short or broken: "
            r"by its index its (video|audio) ends at 4\.\d+ s, but the data ends at",
        ):
            transcode(clip, output)


def test_an_encode_that_lost_its_end_is_a_failure(
    transcode: Run, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, reading = film(sources / "film.mp4", seconds=4), Studio.source

    def shorter(studio: Studio, part: Excerpt | TimeSpan) -> Source:
        source = reading(studio, part)
        source.made.node.kwargs["t"] = "2.0"
        return source

    monkeypatch.setattr(Studio, "source", shorter)
    for output in (FAST, {"format": "mp3"}, STREAM, WEBM):
        with pytest.raises(PermanentError, match=r"its (video|audio) ends at 2\.\d+ s, not at 4\.00 s"):
            transcode(clip, output)


@pytest.mark.parametrize(
    ("begin", "end", "chapters"), [(0, 1.8, [(0, 1.4), (1.4, 1.8)]), (1.1, 3.4, [(0, 0.3), (0.3, 1.7), (1.7, 2.3)])]
)
def test_a_part_has_its_own_chapters_and_is_no_longer(
    transcode: Run, sources: Path, begin: float, end: float, chapters: list[tuple[float, float]]
) -> None:
    (sources / "chapters.txt").write_text(
        ";FFMETADATA1\ntitle=Whole\n"
        + "".join(f"[CHAPTER]\nTIMEBASE=1/10\nSTART={n}\nEND={n + 14}\ntitle=c{n}\n" for n in (0, 14, 28))
    )
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=64x48:d=4.2:r=5", "-f", "lavfi", "-i", "sine=440:d=4.2")
    source = sources / "film.mkv"
    ffmpeg(*inputs, "-f", "ffmetadata", "-i", sources / "chapters.txt", "-map_metadata", "2", "-shortest", source)
    part = {"start_seconds": begin, "end_seconds": end, "keep_metadata": True}
    made = transcode(source, part | FAST, part | WEBM, part | {"format": "aac"})
    for output, path in made:
        said = facts(path, "-show_chapters")
        assert float(said["duration"]) == pytest.approx(end - begin, abs=0.1)
        assert output["duration_seconds"] == pytest.approx(end - begin, abs=0.1)
        assert said["tags"]["title"] == "Whole"
        found = [(float(each["start_time"]), float(each["end_time"])) for each in said["chapters"]]
        assert found == [pytest.approx(each, abs=0.1) for each in chapters]
        assert [each["tags"]["title"] for each in said["chapters"]] == ["c0", "c14", "c28"][: len(chapters)]
