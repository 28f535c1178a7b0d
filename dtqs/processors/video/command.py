"""Builds ffmpeg's and ffprobe's arguments; ffmpeg-python only writes them down. Nothing in a payload is ever an option: what is one here is on a list."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO

import ffmpeg

from dtqs.processors.video.container import DECODERS, Container
from dtqs.processors.video.packets import FIELDS

Stream = Any
"""A node of ffmpeg-python's graph, which has no types."""
_FLAGS = frozenset({"hide_banner", "nostdin", "nostats", "y", "an", "vn", "sn", "show_format", "show_streams"})
_OPTIONS = frozenset({
    "v", "progress", "stats_period", "filter_complex", "map", "map_metadata", "map_chapters", "threads", "f", "i", "ss", "t", "itsoffset", "print_format",
    "protocol_whitelist", "format_whitelist", "codec_whitelist", "max_streams", "max_pixels", "enable_drefs", "use_absolute_path", "max_alloc",
    "c", "b", "crf", "maxrate", "bufsize", "preset", "cpu-used", "deadline", "row-mt", "pix_fmt", "force_key_frames", "tag", "x265-params", "pass",
    "passlogfile", "ar", "ac", "frames", "q", "quality", "loop", "movflags", "metadata", "update", "start_number", "disposition", "skip_frame",
    "reinit_filter", "auto-alt-ref",
    "fps_mode", "hls_time", "hls_playlist_type", "hls_segment_type", "hls_flags", "hls_segment_filename", "master_pl_name", "var_stream_map",
    "enc_time_base", "bsf", "bf", "show_entries",
})  # fmt: skip
"""The allow-list: none of these reads or writes anything but what the command names."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits that ffmpeg itself keeps while it reads."""

    max_pixels: int
    max_streams: int
    threads: int


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A part of a film: from so many seconds, and so many of them; None: to its end."""

    start_seconds: float = 0.0
    length_seconds: float | None = None


WHOLE = TimeSpan()


def place(file: BinaryIO) -> str:
    """Return a path by which a child that inherits the open file can read and write it, whatever it is called and whether it has a name at all."""
    return f"file:/proc/self/fd/{file.fileno()}"


def source(
    file: BinaryIO,
    container: Container,
    guard: ReadLimits,
    span: TimeSpan = WHOLE,
    own: Mapping[str, str | int] = MappingProxyType({}),
) -> Stream:
    """The hostile file as an input: nothing but this file is read, by this demuxer, and by decoders on the list; `own`: this film's options."""
    options: dict[str, Any] = {
        "f": container.demuxer,
        **_guarded(container.demuxer, guard),
        "threads": guard.threads,
        **own,
    }
    if span.start_seconds:
        options["ss"] = _seconds(span.start_seconds)
    if span.length_seconds is not None:
        options["t"] = _seconds(span.length_seconds)
    return ffmpeg.input(place(file), **options)


def own(name: str, demuxer: str, **options: Any) -> Stream:
    """A file in the attempt's own folder that we made ourselves, as an input."""
    return ffmpeg.input(f"file:{name}", f=demuxer, protocol_whitelist="file", format_whitelist=demuxer, **options)


def one_colour(colour: str, size: tuple[int, int], seconds: int) -> Stream:
    """A picture of one colour as an input. Two that are alike must differ in their seconds: the graph takes equal ones for one."""
    return ffmpeg.input(f"color=c={colour}:s={size[0]}x{size[1]}:r=1:d={seconds},format=rgba", f="lavfi")


def output(streams: Sequence[Stream], where: str, muxer: str, **options: Any) -> Stream:
    return ffmpeg.output(*streams, where, f=muxer, **options)


def compiled(program: str, made: Stream, loudness: str = "error") -> list[str]:
    """Return the whole command. Raises ValueError for an option that is not on the list."""
    begin = [
        program,
        "-hide_banner",
        "-nostdin",
        "-nostats",
        "-v",
        loudness,
        "-progress",
        "pipe:1",
        "-stats_period",
        "0.5",
    ]
    return checked([str(part) for part in ffmpeg.compile(made, cmd=begin, overwrite_output=True)])


def probe(
    program: str, file: BinaryIO, container: Container, guard: ReadLimits, unread: Collection[str] = ()
) -> list[str]:
    """Return the command that asks what a file is. ffprobe fails where it may not open a decoder: those in `unread` it opens, and gives no data."""
    return _asked(program, file, container, guard, unread, ["-print_format", "json", "-show_format", "-show_streams"])


def packets(
    program: str, file: BinaryIO, container: Container, guard: ReadLimits, unread: Collection[str] = ()
) -> list[str]:
    """Return the command that tells of each packet of a file."""
    return _asked(program, file, container, guard, unread, ["-print_format", "csv=p=0", "-show_entries", FIELDS])


def _asked(
    program: str, file: BinaryIO, container: Container, guard: ReadLimits, unread: Collection[str], what: Sequence[str]
) -> list[str]:
    options = {"f": container.demuxer, **_guarded(container.demuxer, guard)}
    del options["max_pixels"]  # its figures are judged by us, in words
    if unread:
        options |= {f"codec_whitelist:{sort}": ",".join([DECODERS, *unread]) for sort in "vas"}
    words = [word for name, value in options.items() for word in (f"-{name}", str(value))]
    return checked([program, "-hide_banner", "-v", "error", *what, *words, "-i", place(file)])


def checked(command: list[str]) -> list[str]:
    words = iter(command[1:])
    for word in words:
        if not word.startswith("-") or word == "-":
            continue
        name = word[1:].partition(":")[0]
        if name in _FLAGS:
            continue
        if name not in _OPTIONS:
            raise ValueError(f"{word} is not among the options that may be used")
        next(words, None)
    return command


def _guarded(demuxer: str, guard: ReadLimits) -> dict[str, Any]:
    options: dict[str, Any] = {
        "protocol_whitelist": "file",
        "format_whitelist": demuxer,
        "codec_whitelist": DECODERS,
        "max_streams": guard.max_streams,
        "max_pixels": guard.max_pixels,
    }
    if demuxer == "mov":  # a track of it may say that its data is in another file
        options |= {"enable_drefs": 0, "use_absolute_path": 0}
    return options


def _seconds(value: float) -> str:
    return f"{value:.6f}"
