"""Title, date and place of a video: kept on request, under the names that players know, and otherwise removed."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.films import FAST, Run, facts, ffmpeg, film

PLACE, DATE = "+48.1372+011.5755+519.000/", "2023-05-01T12:34:56+0200"
APPLE = "com.apple.quicktime"
TITLE = "[CHAPTER] a=b;c#d\\e"
KEPT: tuple[dict[str, Any], ...] = (
    FAST, {"format": "webm", "speed": "ultrafast"}, {"format": "aac"}, {"format": "mp3"}, {"format": "opus"}
)  # fmt: skip
PICTURES: tuple[dict[str, Any], ...] = ({"format": "poster"}, {"format": "png"}, {"format": "gif"}, {"format": "webp"})


@pytest.fixture(params=["apple", "plain"])
def phone(request: pytest.FixtureRequest, sources: Path) -> Path:
    """Make a video with place and date, either under the names of Apple or in the older atoms of QuickTime."""
    apple = {f"{APPLE}.location.ISO6709": PLACE, f"{APPLE}.creationdate": DATE, f"{APPLE}.title": TITLE}
    tags = apple if request.param == "apple" else {"location": PLACE, "date": DATE, "title": TITLE}
    marks = [word for name, value in tags.items() for word in ("-metadata", f"{name}={value}")]
    flags = ("-movflags", "use_metadata_tags") if request.param == "apple" else ()
    path = film(sources / "silent.mov", seconds=0.4, size=(64, 48))
    made = sources / "phone.mov"
    ffmpeg("-i", path, "-c", "copy", *flags, *marks, "-metadata", "creation_time=2023-05-01T10:34:56Z", made)
    return made


def test_place_and_date_are_kept_in_every_format(transcode: Run, phone: Path) -> None:
    for output, (_, path) in zip(
        KEPT, transcode(phone, *(kind | {"keep_metadata": True} for kind in KEPT)), strict=True
    ):
        said = facts(path)
        tags = {name.lower(): value for part in (said["audio"], said) for name, value in part.get("tags", {}).items()}
        assert tags["location"].startswith("+48.1372+011.5755"), output
        assert (tags["date"], tags["title"]) == (DATE, TITLE), output
        assert tags["creation_time"].startswith("2023-05-01T10:34:56"), output
        assert not any(name.startswith(APPLE) for name in tags), output


def test_place_and_date_leave_no_trace_otherwise(transcode: Run, phone: Path) -> None:
    stream = {"format": "hls", "renditions": [{"short_side": 48}], **FAST}
    for output, path in transcode(phone, *KEPT, *PICTURES, stream):
        data = path.read_bytes()
        for trace in (b"48.13", b"011.5", b"2023", b"\xa9xyz", b"loci", b"quicktime.", b"[CHAPTER]"):
            assert trace not in data, (output, trace)
        if "video_codec" in output:
            assert "creation_time" not in facts(path).get("tags", {})


def test_tags_are_those_of_the_video_beside_further_inputs(transcode: Run, phone: Path, sources: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=red:s=8x8", "-frames:v", "1", sources / "mark.png")
    mark = {"watermark": {"source": f"file:{sources / 'mark.png'}"}, "keep_metadata": True}
    ((_, path),) = transcode(phone, FAST | mark)
    assert facts(path)["tags"]["date"] == DATE


def test_an_ogg_file_has_its_tags_in_its_track(transcode: Run, sources: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=0.3", "-metadata", "title=Song", "-c:a", "libopus", sources / "song.ogg")
    ((_, path),) = transcode(sources / "song.ogg", {"format": "mp3", "keep_metadata": True})
    assert facts(path)["tags"]["title"] == "Song"
