"""Title, date, place and chapters of an output, as a file of ffmpeg's own format; pure.

ffmpeg itself shifts chapters by the begin of its reading, which is earlier than a part's own begin.
"""

import re
from collections.abc import Iterator

from dtqs.processors.video.video_info import Chapter, VideoInfo

FILE = "metadata.txt"
"""Its name in the attempt's folder."""
_APPLE = "com.apple.quicktime."
_PLAIN_NAMES = {"creationdate": "date", "location.iso6709": "location"}
"""Apple's names and those that muxers know: an mp4 stores no others beside the names of iTunes."""
_NOT_KEPT = frozenset({
    "encoder", "major_brand", "minor_version", "compatible_brands", "duration", "tlen", "timecode", "itunsmpb",
})  # fmt: skip
"""Facts about the source's own file. A timecode would become a track of its own."""
_NAME = re.compile(r"\w[\w .:-]{0,99}")
_SLIVER_SECONDS = 0.05
"""A part seldom begins exactly with its frame. A shorter rest of a chapter belongs to the part before."""


def described(video: VideoInfo, start_seconds: float, seconds: float) -> str:
    """Return the tags of a source, and the chapters of one part of it on the part's own clock."""
    lines = [";FFMETADATA1", *(f"{name}={_escaped(value)}" for name, value in plain(video).items())]
    for chapter in _within(video, start_seconds, seconds):
        begin, end = round(chapter.begin_seconds * 1000), round(chapter.end_seconds * 1000)
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={begin}", f"END={end}", f"title={_escaped(chapter.title)}"]
    return "\n".join([*lines, ""])


def plain(video: VideoInfo) -> dict[str, str]:
    """Return the tags under the names that muxers know. A tag that has such a name already is preferred."""
    tags: dict[str, str] = {}
    apple: dict[str, str] = {}
    for name, value in video.tags.items():
        if not _NAME.fullmatch(name) or name.lower() in _NOT_KEPT:
            continue
        if name.lower().startswith(_APPLE):
            own = name[len(_APPLE) :].lower()
            apple[_PLAIN_NAMES.get(own, own)] = value
        else:
            tags[name] = value
    return apple | tags


def _within(video: VideoInfo, start_seconds: float, seconds: float) -> Iterator[Chapter]:
    zero = video.start_seconds + start_seconds
    for chapter in video.chapters:
        begin, end = max(0.0, chapter.begin_seconds - zero), min(seconds, chapter.end_seconds - zero)
        if end - begin >= min(_SLIVER_SECONDS, chapter.end_seconds - chapter.begin_seconds) > 0:
            yield Chapter(begin, end, chapter.title)


def _escaped(text: str) -> str:
    return re.sub(r"([\\=;#\[\n])", r"\\\1", text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n"))
