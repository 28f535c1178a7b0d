"""Turn the exit status and last log lines of an ffmpeg into an error that says whether a retry can help."""

import errno
import os
import re
import signal
from collections.abc import Sequence

from dtqs.errors import PermanentError, TransientError
from dtqs.processors import deaths
from dtqs.processors.video.launch import Bounds
from dtqs.signal_name import signal_name

_CPU_SLACK_SECONDS = 0.1
_LINES_SHOWN = 8
_UNSUPPORTED = re.compile(r"Codec \((\w+)\) not on whitelist")
_DISK_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
_DISK_BROKEN = (os.strerror(errno.EIO),)
_NO_MEMORY = (
    os.strerror(errno.ENOMEM),
    "malloc of size",
    "memory allocation",
    "Memory allocation",
    "insufficient resources",
    "failed to map segment",
)
_CUT_SHORT = ("moov atom not found", "File ended prematurely", "the file: End of file")
_OUTPUT_TOO_LONG = (os.strerror(errno.EFBIG),)
_FRAME_TOO_LARGE = ("exceeds specified max pixel count",)


class UnsupportedCodec(PermanentError):
    """A track has a codec whose decoder is not on the list of allowed decoders."""

    def __init__(self, codec: str) -> None:
        super().__init__(
            f"the file has a track of codec {codec}, which is not supported: "
            "convert that track to H.264 or AAC, or remove it"
        )
        self.codec = codec


def failure(name: str, status: int, lines: Sequence[str], cpu_seconds: float, bounds: Bounds) -> Exception:
    """Return the error for a program that failed after this much CPU time of its own."""
    tail = with_last_lines(lines)
    if cpu_seconds >= bounds.cpu_seconds - _CPU_SLACK_SECONDS and status in (-signal.SIGKILL, -signal.SIGXCPU):
        return PermanentError(
            f"the video needs more than {bounds.cpu_seconds} s of processor time, the limit max_cpu_seconds{tail}"
        )
    if status == -signal.SIGXFSZ or _mentions(lines, _OUTPUT_TOO_LONG):
        return PermanentError(f"an output is larger than {bounds.file_bytes} bytes, the limit max_output_bytes{tail}")
    if deaths.is_from_outside(status):
        return TransientError(f"{name} {deaths.outside_cause(status)}{tail}")
    if status == os.EX_TEMPFAIL:  # one of our own small programs, which could not enter its jail
        return TransientError(f"{name} could not begin{tail}")
    if status < 0:
        return PermanentError(f"{name} died of {signal_name(-status)} over this video{tail}")
    if codec := next((found[1] for line in _own_words(lines) if (found := _UNSUPPORTED.search(line))), None):
        return UnsupportedCodec(codec)
    return _logged_failure(name, status, lines, bounds, tail)


def _logged_failure(name: str, status: int, lines: Sequence[str], bounds: Bounds, tail: str) -> Exception:
    if is_disk_full(lines):
        return TransientError(f"the disk is full{tail}")
    # before the broken disk: for such files Matroska's demuxer also reports an I/O error
    if _mentions(lines, _CUT_SHORT):
        return PermanentError(f"the video is incomplete: its file is cut short, or was never finished{tail}")
    if _mentions(lines, _DISK_BROKEN):
        return TransientError(f"a file could not be read or written{tail}")
    if _mentions(lines, _FRAME_TOO_LARGE):
        return PermanentError(f"the video has frames of more pixels than the limit max_pixels{tail}")
    if _mentions(lines, _NO_MEMORY):
        return PermanentError(
            f"the video needs more than {bounds.memory_bytes} bytes of memory, the limit max_memory_bytes{tail}"
        )
    return PermanentError(f"{name} failed with status {status}{tail}")


def is_disk_full(lines: Sequence[str]) -> bool:
    return _mentions(lines, _DISK_FULL)


def _mentions(lines: Sequence[str], phrases: Sequence[str]) -> bool:
    return any(phrase in line for line in _own_words(lines) for phrase in phrases)


def _own_words(lines: Sequence[str]) -> list[str]:
    """Return the lines without ffmpeg's description of a file: it is indented, and a title may say anything."""
    return [line for line in lines if not line.startswith(" ")]


def with_last_lines(lines: Sequence[str]) -> str:
    last = list(lines)[-_LINES_SHOWN:]
    return f"; its last lines: {' | '.join(last)}" if last else ""
