"""Run ffmpeg and ffprobe in sessions of their own: bounded, stopped when they stall, and ending with the worker.

`command` builds their arguments, `launch` starts them, `stall` judges their silence, `failures` words their errors.
"""

import math
import os
import resource
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from dtqs.errors import PermanentError
from dtqs.jail import Jail
from dtqs.processors.video import launch
from dtqs.processors.video.failures import failure, is_disk_full
from dtqs.processors.video.ffmpeg_output import LogTail, ProgressReader, Watch
from dtqs.processors.video.launch import Bounds
from dtqs.processors.video.stall import StallTimer

_POLL_SECONDS = 0.5
_WAIT_SECONDS = 5.0
_BUFFER_PATIENCE = 10.0
"""An encoder of 4K that works with one thread needs minutes for the frames that it has collected."""
_ANSWER_BYTES = 8 << 20
_SAMPLE_BYTES = 1 << 16


class Ffmpeg:
    """Run commands one after the other in the attempt's own folder.

    Use it in the main thread only: the child ends with the thread that started it.
    """

    def __init__(self, folder: Path, bounds: Bounds, jail: Jail | None = None) -> None:
        self._folder, self._bounds, self._jail = folder, bounds, jail or Jail()

    def run(
        self,
        command: Sequence[str],
        files: Sequence[BinaryIO] = (),
        watch: Watch | None = None,
        *,
        holds_back: bool = False,
        buffers: bool = False,
    ) -> str:
        """Run a command to its end and return its last log lines.

        `holds_back`: a filter collects frames for a long time before the first comes out, so CPU time also counts as
        progress. `buffers`: an encoder collects frames, so CPU time counts for a while.
        Raises PermanentError, or TransientError if the disk or memory is the cause.
        """
        return self._complete(
            command, files, ProgressReader(watch).take, math.inf if holds_back else _BUFFER_PATIENCE * buffers
        )

    def ask(self, command: Sequence[str], files: Sequence[BinaryIO] = ()) -> bytes:
        """Run a command and return its output. Raises as `run` does, and PermanentError for too much output."""
        return self._answer(command, files)

    def python(self, script: Path, arguments: Sequence[str], files: Sequence[BinaryIO] = ()) -> bytes:
        """Run one of our own programs within the same bounds, and return its output.

        Its first argument tells it how to enter the jail.
        """
        command = [sys.executable, "-P", str(script), self._jail.orders(), *arguments]
        search_path = os.pathsep.join(path for path in sys.path if path)
        return self._answer(command, files, {"PYTHONPATH": search_path, "PYTHONUTF8": "1"})

    def read(self, command: Sequence[str], files: Sequence[BinaryIO], take: Callable[[bytes], bool]) -> str:
        """Run a command, pass its output to `take` as it arrives, and return its last log lines.

        Raises as `run` does.
        """
        return self._complete(command, files, take)

    def _answer(
        self, command: Sequence[str], files: Sequence[BinaryIO], python: Mapping[str, str] | None = None
    ) -> bytes:
        answer = bytearray()

        def take(sample: bytes) -> bool:
            answer.extend(sample)
            if len(answer) > _ANSWER_BYTES:
                raise PermanentError(f"the description of the file is longer than {_ANSWER_BYTES} bytes, the limit")
            return bool(sample)

        # the image programs print only at their end
        self._complete(command, files, take, 0.0 if python is None else math.inf, python)
        return bytes(answer)

    def _complete(
        self,
        command: Sequence[str],
        files: Sequence[BinaryIO],
        take: Callable[[bytes], bool],
        patience: float = 0.0,
        python: Mapping[str, str] | None = None,
    ) -> str:
        name, before = Path(command[0] if python is None else command[2]).name, _children_cpu_seconds()
        with self._started(command, files, python) as process:
            stall = StallTimer(name, process.pid, files, self._bounds.stall_seconds, patience)
            lines = self._follow(process, take, stall)
            status = process.wait(_WAIT_SECONDS)
        used = _children_cpu_seconds() - before
        # when the disk becomes full at the very end, ffmpeg logs it but exits with status 0
        if status != 0 or is_disk_full(lines):
            raise failure(name, status, lines, used, self._bounds)
        return "\n".join(lines)

    @contextmanager
    def _started(
        self, command: Sequence[str], files: Sequence[BinaryIO], python: Mapping[str, str] | None
    ) -> Iterator["subprocess.Popen[bytes]"]:
        # only the search path of the environment: ffmpeg reads variables that make it write files
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

    def _follow(
        self, process: "subprocess.Popen[bytes]", take: Callable[[bytes], bool], stall: StallTimer
    ) -> deque[str]:
        """Read both streams to their ends and return the last log lines; `take` returns True for progress."""
        log = LogTail()
        with selectors.DefaultSelector() as selector:
            for stream, reader in ((process.stdout, take), (process.stderr, log.take)):
                selector.register(_open(stream), selectors.EVENT_READ, reader)
            while selector.get_map():
                if _read_ready(selector):
                    stall.reset()
                stall.check(log.lines)
        return log.lines


def _read_ready(selector: selectors.BaseSelector) -> bool:
    """Pass on what has arrived within the poll interval; return True if any of it is progress."""
    progressed = False
    for key, _ in selector.select(_POLL_SECONDS):
        sample = os.read(key.fd, _SAMPLE_BYTES)
        progressed = key.data(sample) or progressed
        if not sample:
            selector.unregister(key.fileobj)
    return progressed


def _children_cpu_seconds() -> float:
    """Return the CPU time of all children that have ended. It tells a kill at the CPU limit from any other kill."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process with all that it started, and reap it."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_WAIT_SECONDS)
    for stream in (process.stdout, process.stderr):
        _open(stream).close()


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "both streams are pipes"
    return stream
