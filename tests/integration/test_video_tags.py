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
OTHERS: tuple[dict[str, Any], ...] = (
    {"format": "poster"}, {"format": "gif"}, {"format": "hls", "renditions": [{"short_side": 48}], **FAST}
)  # fmt: skip


def recorded(folder: Path, tags: dict[str, str], *flags: str) -> Path:
    """Make a video with these tags, and the time of its recording."""
    path, made = film(folder / "silent.mov", seconds=0.4, size=(64, 48)), folder / "phone.mov"
    marks = [word for name, value in tags.items() for word in ("-metadata", f"{name}={value}")]
    ffmpeg("-i", path, "-c", "copy", *flags, *marks, "-metadata", "creation_time=2023-05-01T10:34:56Z", made)
    return made


@pytest.fixture
def phone(sources: Path) -> Path:
    tags = {f"{APPLE}.location.ISO6709": PLACE, f"{APPLE}.creationdate": DATE, f"{APPLE}.title": TITLE}
    return recorded(sources, tags, "-movflags", "use_metadata_tags")


def test_place_and_date_of_a_phone_are_kept_in_every_format(transcode: Run, phone: Path) -> None:
    made = transcode(phone, *(kind | {"keep_metadata": True} for kind in KEPT))
    for kind, (_, path) in zip(KEPT, made, strict=True):
        said = facts(path)
        tags = {name.lower(): value for part in (said["audio"], said) for name, value in part.get("tags", {}).items()}
        assert tags["location"].startswith("+48.1372+011.5755"), kind
        assert (tags["date"], tags["title"]) == (DATE, TITLE), kind
        assert tags["creation_time"].startswith("2023-05-01T10:34:56"), kind
        assert not any(name.startswith(APPLE) for name in tags), kind


def test_place_and_date_of_a_phone_leave_no_trace_otherwise(transcode: Run, phone: Path) -> None:
    for output, path in transcode(phone, *KEPT, *OTHERS):
        data = path.read_bytes()
        for trace in (b"48.13", b"011.5", b"2023", b"\xa9xyz", b"loci", b"quicktime.", b"[CHAPTER]"):
            assert trace not in data, (output, trace)
        if "video_codec" in output:
            assert "creation_time" not in facts(path).get("tags", {})


def test_tags_in_the_older_atoms_of_quicktime_are_kept_beside_a_watermark(transcode: Run, sources: Path) -> None:
    source = recorded(sources, {"location": PLACE, "date": DATE, "title": TITLE})
    ffmpeg("-f", "lavfi", "-i", "color=red:s=8x8", "-frames:v", "1", sources / "mark.png")
    mark = {"watermark": {"source": f"file:{sources / 'mark.png'}"}, "keep_metadata": True}
    ((_, kept), (_, removed)) = transcode(source, FAST | mark, FAST)
    tags = facts(kept)["tags"]
    assert (tags["date"], tags["title"], tags["location"][:9]) == (DATE, TITLE, PLACE[:9])
    assert not {"date", "title", "location", "creation_time"} & set(facts(removed)["tags"])


def test_a_video_without_tags_has_none_to_keep(transcode: Run, sources: Path) -> None:
    source = film(sources / "film.mkv", seconds=0.2, size=(64, 48), sound=False)
    ((_, path),) = transcode(source, FAST | {"keep_metadata": True})
    assert "title" not in facts(path)["tags"]


def test_an_ogg_file_has_its_tags_in_its_track(transcode: Run, sources: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=0.3", "-metadata", "title=Song", "-c:a", "libopus", sources / "song.ogg")
    ((_, path),) = transcode(sources / "song.ogg", {"format": "mp3", "keep_metadata": True})
    assert facts(path)["tags"]["title"] == "Song"
