"""Build the arguments of ffmpeg and ffprobe, with ffmpeg-python for the filter graph.

No part of a payload becomes an option: every option must be on the list below.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO

import ffmpeg

from dtqs.processors.video import tags
from dtqs.processors.video.container import DECODERS, Container
from dtqs.processors.video.packets import FIELDS

Stream = Any
"""A node of ffmpeg-python's graph, which has no types."""
_FLAGS = frozenset(
    {"hide_banner", "nostdin", "nostats", "y", "an", "vn", "sn", "show_format", "show_streams", "show_chapters"}
)
_OPTIONS = frozenset({
    "v", "progress", "stats_period", "filter_complex", "map", "map_metadata", "map_chapters", "threads", "f", "i",
    "ss", "t", "itsoffset", "print_format", "protocol_whitelist", "format_whitelist", "codec_whitelist",
    "max_streams", "max_pixels", "enable_drefs", "use_absolute_path", "max_alloc", "c", "b", "crf", "maxrate",
    "bufsize", "preset", "cpu-used", "deadline", "row-mt", "pix_fmt", "force_key_frames", "tag", "x265-params",
    "pass", "passlogfile", "ar", "frames", "q", "quality", "loop", "movflags", "metadata", "update",
    "start_number", "disposition", "skip_frame", "reinit_filter", "auto-alt-ref", "fps_mode", "hls_time",
    "final_delay", "hls_playlist_type", "hls_segment_type", "hls_flags", "hls_segment_filename", "master_pl_name",
    "var_stream_map", "enc_time_base", "bsf", "bf", "g", "forced-idr", "show_entries",
})  # fmt: skip
"""The allow-list. No option on it reads or writes a file that the command does not name."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits that ffmpeg itself enforces while it reads."""

    max_pixels: int
    max_streams: int
    threads: int


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A part of a video. A length of None reaches to its end."""

    start_seconds: float = 0.0
    length_seconds: float | None = None


WHOLE = TimeSpan()


def fd_path(file: BinaryIO) -> str:
    """Return a path for a child that inherits the open file. It works for any file name, and without one."""
    return f"file:/proc/self/fd/{file.fileno()}"


def source(
    file: BinaryIO,
    container: Container,
    limits: ReadLimits,
    span: TimeSpan = WHOLE,
    more: Mapping[str, str | int] = MappingProxyType({}),
) -> Stream:
    """Return a source as an input; `more` are its additional options.

    The source may be hostile: ffmpeg reads only this file, with this demuxer, and with decoders on the list.
    """
    options: dict[str, Any] = {
        "f": container.demuxer,
        **_restrictions(container.demuxer, limits),
        "threads": limits.threads,
        **more,
    }
    if span.start_seconds:
        options["ss"] = _seconds(span.start_seconds)
    if span.length_seconds is not None:
        options["t"] = _seconds(span.length_seconds)
    return ffmpeg.input(fd_path(file), **options)


def own_file(name: str, demuxer: str, **options: Any) -> Stream:
    """Return a file of our own in the attempt's folder as an input."""
    return ffmpeg.input(f"file:{name}", f=demuxer, protocol_whitelist="file", format_whitelist=demuxer, **options)


def one_colour(colour: str, size: tuple[int, int], number: int) -> Stream:
    """Return one frame of one colour as an input: an overlay shows it up to the end, and a second one would move it.

    Two equal inputs in one graph must differ in their number, or the graph merges them.
    """
    rate = 50 * number
    return ffmpeg.input(f"color=c={colour}:s={size[0]}x{size[1]}:r={rate}:d={1 / rate:g},format=rgba", f="lavfi")


def output(streams: Sequence[Stream], where: str, muxer: str, **options: Any) -> Stream:
    return ffmpeg.output(*streams, where, f=muxer, **options)


def compiled(program: str, made: Stream, log_level: str = "error") -> list[str]:
    """Return the whole command. Raises ValueError for an option that is not on the list."""
    begin = [
        program,
        "-hide_banner",
        "-nostdin",
        "-nostats",
        "-v",
        log_level,
        "-progress",
        "pipe:1",
        "-stats_period",
        "0.5",
    ]
    arguments = [str(part) for part in ffmpeg.compile(made, cmd=begin, overwrite_output=True)]
    return checked(_with_tags(arguments) if tags.FILE in arguments else arguments)


def _with_tags(arguments: list[str]) -> list[str]:
    """Add the file of tags as the last input, and put its number where options name it.

    It has no stream, so it cannot be a node of the graph.
    """
    number = arguments.count("-i")
    after = max(at for at, argument in enumerate(arguments) if argument == "-i") + 2
    demuxer = "ffmetadata"
    own = ["-f", demuxer, "-protocol_whitelist", "file", "-format_whitelist", demuxer, "-i", f"file:{tags.FILE}"]
    numbered = [str(number) if argument == tags.FILE else argument for argument in arguments]
    return [*numbered[:after], *own, *numbered[after:]]


def probe(
    program: str, file: BinaryIO, container: Container, limits: ReadLimits, unread: Collection[str] = ()
) -> list[str]:
    """Return the command that describes a file.

    ffprobe fails if it may not open a decoder. It may open those of the codecs in `unread`, but gives them no data.
    """
    return _ffprobe(
        program,
        file,
        container,
        limits,
        unread,
        ["-print_format", "json", "-show_format", "-show_streams", "-show_chapters"],
    )


def packets(
    program: str, file: BinaryIO, container: Container, limits: ReadLimits, unread: Collection[str] = ()
) -> list[str]:
    """Return the command that lists the packets of a file."""
    return _ffprobe(program, file, container, limits, unread, ["-print_format", "csv=p=0", "-show_entries", FIELDS])


def _ffprobe(
    program: str,
    file: BinaryIO,
    container: Container,
    limits: ReadLimits,
    unread: Collection[str],
    query: Sequence[str],
) -> list[str]:
    options = {"f": container.demuxer, **_restrictions(container.demuxer, limits)}
    del options["max_pixels"]  # the processor checks the size itself, for a better message
    if unread:
        options |= {f"codec_whitelist:{kind}": ",".join([DECODERS, *unread]) for kind in "vas"}
    arguments = [argument for name, value in options.items() for argument in (f"-{name}", str(value))]
    return checked([program, "-hide_banner", "-v", "error", *query, *arguments, "-i", fd_path(file)])


def checked(command: list[str]) -> list[str]:
    """Return the command. Raises ValueError for an option that is not on the list."""
    arguments = iter(command[1:])
    for argument in arguments:
        if not argument.startswith("-") or argument == "-":
            continue
        name = argument[1:].partition(":")[0]
        if name in _FLAGS:
            continue
        if name not in _OPTIONS:
            raise ValueError(f"{argument} is not on the list of allowed options")
        next(arguments, None)
    return command


def _restrictions(demuxer: str, limits: ReadLimits) -> dict[str, Any]:
    options: dict[str, Any] = {
        "protocol_whitelist": "file",
        "format_whitelist": demuxer,
        "codec_whitelist": DECODERS,
        "max_streams": limits.max_streams,
        "max_pixels": limits.max_pixels,
    }
    if demuxer == "mov":  # its tracks may refer to data in other files
        options |= {"enable_drefs": 0, "use_absolute_path": 0}
    return options


def _seconds(value: float) -> str:
    return f"{value:.6f}"
