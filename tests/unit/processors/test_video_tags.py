"""Tags and chapters for ffmpeg: names that muxers know, nothing that a hostile file could add, chapters of one part."""

from collections.abc import Mapping

import orjson
import pytest

from dtqs.errors import PermanentError
from dtqs.processors.video import ffprobe, tags
from dtqs.processors.video.command import compiled, one_colour, output
from dtqs.processors.video.video_info import Chapter, VideoInfo


def video(named: Mapping[str, str] | None = None, chapters: tuple[Chapter, ...] = ()) -> VideoInfo:
    return VideoInfo(None, (), (), 1, 60.0, True, None, 5, start_seconds=1.0, tags=named or {}, chapters=chapters)


def test_names_of_apple_become_those_that_muxers_know() -> None:
    apple = "com.apple.quicktime"
    found = tags.plain(
        video(
            {f"{apple}.location.ISO6709": "here", f"{apple}.creationdate": "then", f"{apple}.make": "a", "date": "now"}
        )
    )
    assert found == {"location": "here", "date": "now", "make": "a"}


@pytest.mark.parametrize(
    "name", ["encoder", "MAJOR_BRAND", "timecode", "TLEN", "[CHAPTER]", "a=b", "#", "", "a\nb", "x" * 101]
)
def test_facts_about_the_file_and_odd_names_are_not_kept(name: str) -> None:
    assert tags.plain(video({name: "x"})) == {}


def test_a_value_ends_no_line_and_begins_no_section() -> None:
    text = tags.described(video({"title": "a\n[CHAPTER]\r\nSTART=0\0;#\\"}), 0, 60)
    assert text == ";FFMETADATA1\ntitle=a\\\n\\[CHAPTER]\\\nSTART\\=0\\;\\#\\\\\n"


def test_a_part_has_the_chapters_within_it_on_its_own_clock() -> None:
    """The file's clock begins at 1 s."""
    chapters = tuple(Chapter(1 + at, 1 + at + 10, f"c{at}") for at in (0, 10, 20, 30))
    # the slivers of c0 and c30, and a chapter without a length, are left out
    odd = (Chapter(15, 15, "empty"), Chapter(15, 14, "backwards"))
    text = tags.described(video(chapters=(*chapters, *odd)), 9.98, 20.05)
    assert text.split("[CHAPTER]\n")[1:] == [
        "TIMEBASE=1/1000\nSTART=20\nEND=10020\ntitle=c10\n",
        "TIMEBASE=1/1000\nSTART=10020\nEND=20020\ntitle=c20\n",
    ]


def test_the_file_of_tags_is_the_last_input_under_its_number() -> None:
    made = output([one_colour("red", (8, 8), 1)], "file:a.mp4", "mp4", map_metadata=tags.FILE, map_chapters=tags.FILE)
    command = compiled("ffmpeg", made)
    assert [command[at + 1] for at, word in enumerate(command) if word == "-i"][1:] == [f"file:{tags.FILE}"]
    assert [command[command.index(option) + 1] for option in ("-map_metadata", "-map_chapters")] == ["1", "1"]


@pytest.mark.parametrize("hostile", [1, "x", ["x"], [{"tags": 1, "start_time": "1", "end_time": "2"}], {"a": 1}])
def test_chapters_of_a_wrong_shape_are_a_broken_report(hostile: object) -> None:
    report = {"streams": [{"index": 0, "codec_type": "audio"}], "chapters": hostile}
    with pytest.raises(PermanentError, match="cannot be read"):
        ffprobe.read(orjson.dumps(report), "mov", 5)
    numbers = [{"start_time": start, "end_time": "2"} for start in ("nan", "inf", "x", None)]
    assert ffprobe.read(orjson.dumps(report | {"chapters": numbers}), "mov", 5).chapters == ()
