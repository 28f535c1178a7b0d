"""Watermarks and subtitles from other sources. Both are written anew before ffmpeg's filters see them."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dtqs.errors import PermanentError
from dtqs.processors.video.command import Stream, TimeSpan, compiled, output, own_file
from dtqs.processors.video.geometry import Size
from dtqs.processors.video.payload import Subtitles, VideoOutput, VideoWatermark
from dtqs.processors.video.storing import read_text
from dtqs.processors.video.studio import Studio
from dtqs.processors.video.tracks import no_track
from dtqs.processors.video.vtt import Cue, Script, read

_MARK = Path(__file__).with_name("mark.py")
_TEXT_BYTES, _PROBLEM_BYTES = 10 << 20, 500
_ENCODINGS = ("utf-8-sig", "cp1252")
_PICTURE_SUBTITLES = frozenset({"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub", "dvb_teletext"})
_KEPT_SECTIONS = re.compile(r"\[(script info|v4\+? styles|v4 styles\+|events)\]", re.IGNORECASE)
_LINE_END, _BREAK_IN_LINE, _CUE = re.compile(r"\r\n?|\n"), re.compile("[\v\x85\u2028\u2029]"), "Dialogue:"
_SUBRIP = re.compile(r"(?:\d+[ \t]*\n\s*)?\d+:\d{1,2}:\d{1,2}(?:[,.:]\d+)?[ \t]*-->")


@dataclass(frozen=True, slots=True)
class Text:
    """Names of subtitle files in the attempt's folder.

    `ass` is for burning in. The others are WebVTT on the output's clock: `vtt` is plain, for ffmpeg; `styled` is not.
    """

    ass: str
    vtt: str
    styled: str
    cues: tuple[Cue, ...]
    """The cues of the excerpt, on its clock."""


def watermark(studio: Studio, wanted: VideoWatermark, size: Size) -> Stream:
    """Return the watermark as an input, in its final size. It is made once for all passes.

    Raises PermanentError for a source that is not an image.
    """
    most = [str(max(1, round(size[0] * wanted.width_fraction))), str(size[1])]
    made_from = " ".join([wanted.source, *most, str(wanted.opacity)])
    name = f"watermark-{hashlib.sha256(made_from.encode()).hexdigest()}.png"
    if not (studio.programs.folder / name).exists():
        file = studio.sources.open(wanted.source)
        problem = studio.programs.ffmpeg.python(_MARK, [str(file.fileno()), name, *most, str(wanted.opacity)], [file])
        if problem:
            raise PermanentError(problem[:_PROBLEM_BYTES].decode("utf-8", "replace"))
    return own_file(name, "png_pipe")


def subtitles(studio: Studio, spec: VideoOutput, span: TimeSpan, seconds: float) -> Text | None:
    """Make an output's subtitles. Raises PermanentError if they cannot be read."""
    if spec.subtitles is None:
        return None
    stem = f"subtitles-{spec.name}"
    if spec.subtitles.source is not None:
        demuxer, script = _write_as_utf8(studio, studio.sources.open(spec.subtitles.source), stem)
        track = own_file(f"{stem}.in", demuxer)["s:0"]
        files: tuple[BinaryIO, ...] = ()
    else:
        script = None
        track, files = studio.source(TimeSpan()).made[str(_own_track(studio, spec.subtitles))], (studio.file,)
    for muxer, codec in (("ass", "ass"), ("webvtt", "webvtt")):
        made = output([track], f"file:{stem}.{muxer}", muxer, **{"c:s": codec})
        studio.programs.ffmpeg.run(compiled(studio.programs.settings.ffmpeg, made), files)
    return _subtitle_files(studio, stem, script, span, seconds)


def _subtitle_files(studio: Studio, stem: str, script: Script | None, span: TimeSpan, seconds: float) -> Text:
    folder = studio.programs.folder
    ass, vtt = folder / f"{stem}.ass", folder / f"{stem}.webvtt"
    ass.write_text(without_attachments(read_text(ass, "the subtitles")), encoding="utf-8")
    whole = script or read(read_text(vtt, "the subtitles"))
    if not whole.cues:
        raise PermanentError("the subtitles have no cue, a text with the time at which it is shown")
    part, styled = whole.moved(span.start_seconds, seconds), folder / f"{stem}.styled.vtt"
    vtt.write_text(part.text(styled=False), encoding="utf-8")
    styled.write_text(part.text(), encoding="utf-8")
    return Text(ass.name, vtt.name, styled.name, part.cues)


def without_attachments(ass: str) -> str:
    """Drop the sections of an ASS file that are neither text nor its style, such as fonts and images.

    Only CR and LF end a line; other separators become line breaks of the text. A cue stays wherever it stands, because
    the text of the cue before it may look like the header of a section.
    """
    kept, keep = [], False
    for line in _LINE_END.split(ass):
        content = line.strip()
        if content.startswith("["):
            keep = _KEPT_SECTIONS.fullmatch(content) is not None
        if keep or content.startswith(_CUE):
            kept.append(_BREAK_IN_LINE.sub(r"\\N", line))
    return "\n".join(kept).rstrip("\n") + "\n"


def _own_track(studio: Studio, wanted: Subtitles) -> int:
    tracks = studio.video.subtitles
    if wanted.track >= len(tracks):
        raise PermanentError(f"the source has {no_track('subtitle', wanted.track, len(tracks))}")
    index, codec = tracks[wanted.track]
    if codec in _PICTURE_SUBTITLES:
        raise PermanentError(
            f"the source's subtitle track {wanted.track} consists of images ({codec}); allowed are text tracks"
        )
    return index


def _write_as_utf8(studio: Studio, file: BinaryIO, stem: str) -> tuple[str, Script | None]:
    """Write the text as UTF-8 into the folder; return its demuxer, detected by its first bytes, and WebVTT parsed."""
    data = file.read(_TEXT_BYTES + 1)
    if len(data) > _TEXT_BYTES:
        raise PermanentError(f"the subtitles are longer than {_TEXT_BYTES} bytes, the limit")
    text = _decoded(data)
    path, head = studio.programs.folder / f"{stem}.in", text.lstrip()[:4096]
    if head.startswith("WEBVTT"):
        script = read(text)
        path.write_text(script.text(styled=False), encoding="utf-8")
        return "webvtt", script
    path.write_text(text, encoding="utf-8")
    if head.lower().startswith("[script info]"):
        return "ass", None
    if _SUBRIP.match(head):
        return "srt", None
    raise PermanentError("the format of the subtitles is not supported: allowed are SubRip (.srt), WebVTT and ASS")


def _decoded(data: bytes) -> str:
    return _text(data).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _text(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")
