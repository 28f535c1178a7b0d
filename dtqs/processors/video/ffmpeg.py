"""Runs ffmpeg and ffprobe: in a session of their own, bounded, dying with the worker, stopped when nothing comes of it. What they are told: command.py."""

import errno
import os
import re
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from dtqs.errors import PermanentError, TransientError
from dtqs.jail import Jail
from dtqs.processors import deaths
from dtqs.processors.video import launch
from dtqs.processors.video.film import number
from dtqs.processors.video.packets import LINE_BYTES
from dtqs.signal_name import signal_name

_LOOK_SECONDS = 0.5
_WAIT_SECONDS = 5.0
_CPU_SLACK_SECONDS = 0.1
_WORKING = 0.05
"""Who uses less than this part of one processor waits for something, and does not work."""
_LINES_KEPT, _LINE_CHARACTERS, _TOLD_LINES = 60, 500, 8
_ANSWER_BYTES = 8 << 20
_SAMPLE_BYTES = 1 << 16
_KEYS = frozenset({"out_time_us", "frame", "total_size", "speed"})
_PLACES = re.compile(r"(file:)?/proc/self/fd/\d+")
_ADDRESSES = re.compile(r" @ 0x[0-9a-f]+")
_UNREAD = re.compile(r"Codec \((\w+)\) not on whitelist")
_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
_BROKEN_DISK = (os.strerror(errno.EIO),)
_NO_MEMORY = (
    os.strerror(errno.ENOMEM),
    "malloc of size",
    "memory allocation",
    "Memory allocation",
    "insufficient resources",
    "failed to map segment",
)
_CUT_SHORT = ("moov atom not found", "File ended prematurely", "the file: End of file")
_TOO_LONG = (os.strerror(errno.EFBIG),)
_TOO_LARGE = ("exceeds specified max pixel count",)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one process of ffmpeg may take."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    stall_seconds: float

    def limits(self) -> dict[int, int]:
        return {
            resource.RLIMIT_AS: self.memory_bytes,
            resource.RLIMIT_CPU: self.cpu_seconds,
            resource.RLIMIT_FSIZE: self.file_bytes,
            resource.RLIMIT_CORE: 0,
        }


@dataclass(frozen=True, slots=True)
class EncodeProgress:
    """How far ffmpeg is: seconds of the output, pictures, and how many times faster than the film it is."""

    seconds: float
    frames: int
    size_bytes: int
    speed: float | None


class CodecUnread(PermanentError):
    """A track has a codec whose decoder is not on the list."""

    def __init__(self, codec: str) -> None:
        super().__init__(
            f"the file has a track of codec {codec}, which is not read here: convert that track to H.264 and AAC, or take it out"
        )
        self.codec = codec


Watch = Callable[[EncodeProgress], object]


class Ffmpeg:
    """Runs commands one after the other in a folder of the attempt's own. To be used in the main thread: that one's death ends them."""

    def __init__(self, folder: Path, bounds: Bounds, jail: Jail | None = None) -> None:
        self._folder, self._bounds, self._jail = folder, bounds, jail or Jail()

    def run(
        self,
        command: Sequence[str],
        files: Sequence[BinaryIO] = (),
        watch: Watch | None = None,
        *,
        holds_back: bool = False,
    ) -> str:
        """Run it to its end and return the last lines that it said. Raises PermanentError, or TransientError where the disk or memory is to blame.

        `holds_back`: a filter gathers pictures for long before one comes out, so work on them is a sign of life, too.
        """
        blocks = _Blocks(watch)
        return self._complete(command, files, blocks.take, holds_back)

    def ask(self, command: Sequence[str], files: Sequence[BinaryIO] = ()) -> bytes:
        """Run it and return what it printed. Raises as `run` does, and PermanentError where it prints without an end."""
        return self._answer(command, files)

    def python(self, script: Path, arguments: Sequence[str], files: Sequence[BinaryIO] = ()) -> bytes:
        """Run a program of ours within the same bounds, and return what it printed. Its first argument says how it enters the jail."""
        command = [sys.executable, "-P", str(script), self._jail.orders(), *arguments]
        return self._answer(
            command, files, {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONUTF8": "1"}
        )

    def _answer(
        self, command: Sequence[str], files: Sequence[BinaryIO], python: Mapping[str, str] | None = None
    ) -> bytes:
        answer = bytearray()

        def take(sample: bytes) -> bool:
            answer.extend(sample)
            if len(answer) > _ANSWER_BYTES:
                raise PermanentError(f"the file says more of itself than {_ANSWER_BYTES} bytes")
            return bool(sample)

        self._complete(command, files, take, python=python)
        return bytes(answer)

    def read(self, command: Sequence[str], files: Sequence[BinaryIO], take: Callable[[bytes], bool]) -> str:
        """Run it, hand over what it prints as it comes, and return the last lines that it said beside. Raises as `run` does."""
        return self._complete(command, files, take)

    def _complete(
        self,
        command: Sequence[str],
        files: Sequence[BinaryIO],
        take: Callable[[bytes], bool],
        holds_back: bool = False,
        python: Mapping[str, str] | None = None,
    ) -> str:
        before = _children_cpu_seconds()
        with self._started(command, files, python) as process:
            lines = self._attend(process, take, holds_back)
            status = process.wait(_WAIT_SECONDS)
        took = _children_cpu_seconds() - before
        # a disk that is full at the very end is told, and the status is still that of success
        if status != 0 or _says(lines, _FULL):
            raise self._failure(Path(command[0]).name, status, lines, took)
        return "\n".join(lines)

    @contextmanager
    def _started(
        self, command: Sequence[str], files: Sequence[BinaryIO], python: Mapping[str, str] | None
    ) -> Iterator["subprocess.Popen[bytes]"]:
        # of the environment nothing but the search path: ffmpeg reads variables that make it write files
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._folder),
            "LC_ALL": "C",
            "SVT_LOG": "1",
            **(python or {}),
        }
        jail = self._jail if python is None else None
        process = launch.start(command, self._folder, environment, self._bounds.limits(), jail, files)
        try:
            yield process
        finally:
            _end(process)

    def _attend(
        self, process: "subprocess.Popen[bytes]", take: Callable[[bytes], bool], holds_back: bool
    ) -> deque[str]:
        """Read both streams to their ends; `take` tells whether what came is a sign of progress."""
        lines = _Lines()
        moved_at, worked_seconds, stall_seconds = time.monotonic(), 0.0, self._bounds.stall_seconds
        with selectors.DefaultSelector() as selector:
            for stream, reader in ((process.stdout, take), (process.stderr, lines.take)):
                selector.register(_open(stream), selectors.EVENT_READ, reader)
            while selector.get_map():
                for key, _ in selector.select(_LOOK_SECONDS):
                    sample = os.read(key.fd, _SAMPLE_BYTES)
                    if key.data(sample):
                        moved_at = time.monotonic()
                    if not sample:
                        selector.unregister(key.fileobj)
                if time.monotonic() - moved_at > stall_seconds:
                    worked_before, worked_seconds = worked_seconds, _cpu_seconds(process.pid)
                    if not holds_back or worked_seconds - worked_before < _WORKING * stall_seconds:
                        raise PermanentError(
                            f"nothing came out of the encoder for {stall_seconds:g} s{_told(lines.kept)}"
                        )
                    moved_at = time.monotonic()
        return lines.kept

    def _failure(self, name: str, status: int, lines: deque[str], cpu_seconds: float) -> Exception:
        """Word what a status means."""
        said, bounds = _told(lines), self._bounds
        if cpu_seconds >= bounds.cpu_seconds - _CPU_SLACK_SECONDS and status in (-signal.SIGKILL, -signal.SIGXCPU):
            return PermanentError(
                f"the film takes more than {bounds.cpu_seconds} s of processor time, which is the limit{said}"
            )
        if status == -signal.SIGXFSZ or _says(lines, _TOO_LONG):
            return PermanentError(f"an output is longer than {bounds.file_bytes} bytes, which is the limit{said}")
        if deaths.is_from_outside(status):
            return TransientError(f"{name} {deaths.outside_cause(status)}{said}")
        if status == os.EX_TEMPFAIL:  # a small program of ours that could not enter its jail
            return TransientError(f"{name} could not begin{said}")
        if status < 0:
            return PermanentError(f"{name} died of {signal_name(-status)} over this film{said}")
        if codec := next((found[1] for line in lines if (found := _UNREAD.search(line))), None):
            return CodecUnread(codec)
        if _says(lines, _FULL):
            return TransientError(f"the disk is full{said}")
        if _says(lines, _CUT_SHORT):  # Matroska's demuxer says beside that the disk could not be read
            return PermanentError(f"the film is incomplete: its file is cut short, or was never finished{said}")
        if _says(lines, _BROKEN_DISK):
            return TransientError(f"a file could not be read or written{said}")
        if _says(lines, _TOO_LARGE):
            return PermanentError(f"the film has pictures of more pixels than are allowed{said}")
        if _says(lines, _NO_MEMORY):
            return PermanentError(
                f"the film takes more than {bounds.memory_bytes} bytes of memory, which is the limit{said}"
            )
        return PermanentError(f"{name} failed with status {status}{said}")


class _Lines:
    """The last lines of what a process says; a film can make it say gigabytes."""

    def __init__(self) -> None:
        self.kept: deque[str] = deque(maxlen=_LINES_KEPT)
        self._rest = b""

    def take(self, sample: bytes) -> bool:
        *whole, self._rest = (self._rest + sample).replace(b"\r", b"\n").split(b"\n")
        if not sample or len(self._rest) > _LINE_CHARACTERS:
            whole, self._rest = [*whole, self._rest], b""
        self.kept.extend(_plain(line) for line in whole if line.strip())
        return False  # a complaint is no progress


class _Blocks:
    """Reads what `-progress` prints: a block of `key=value`, again and again."""

    def __init__(self, watch: Watch | None) -> None:
        self._watch, self._rest = watch, b""
        self._block: dict[str, str] = {}
        self._last = EncodeProgress(0.0, 0, 0, None)

    def take(self, sample: bytes) -> bool:
        *whole, rest = (self._rest + sample).split(b"\n")
        self._rest = rest[-LINE_BYTES:]  # a line without an end is not ffmpeg's
        return (
            sum(self._line(line.decode("ascii", "replace")) for line in whole) > 0
        )  # not any(), which leaves lines unread

    def _line(self, line: str) -> bool:
        key, _, value = line.partition("=")
        if (key := key.strip()) in _KEYS:
            self._block[key] = value.strip()
        if key != "progress":
            return False
        block, self._block = self._block, {}
        now = EncodeProgress(
            (number(block.get("out_time_us")) or 0.0) / 1e6,
            int(number(block.get("frame")) or 0),
            int(number(block.get("total_size")) or 0),
            number(block.get("speed", "").rstrip("x")),
        )
        last, self._last = self._last, now
        if self._watch:
            self._watch(now)
        return (now.seconds, now.frames, now.size_bytes) != (last.seconds, last.frames, last.size_bytes)


def _children_cpu_seconds() -> float:
    """What all children took that have ended; a kill at the limit looks like any other."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_seconds(pid: int) -> float:
    """What a child that has not been waited for has taken so far, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of it and of what it started, and reap it."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_WAIT_SECONDS)
    for stream in (process.stdout, process.stderr):
        _open(stream).close()


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "both streams are pipes"
    return stream


def _plain(line: bytes) -> str:
    text = _ADDRESSES.sub("", _PLACES.sub("the file", line.decode("utf-8", "replace")))
    return "".join(character for character in text if character.isprintable())[:_LINE_CHARACTERS]


def _says(lines: deque[str], words: Sequence[str]) -> bool:
    return any(word in line for line in lines for word in words)


def _told(lines: deque[str]) -> str:
    last = list(lines)[-_TOLD_LINES:]
    return f"; its last words: {' | '.join(last)}" if last else ""
