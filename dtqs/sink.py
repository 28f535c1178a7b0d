"""Output that never waits for its reader. Lines for a full pipe are kept up to a limit, then dropped and counted.

Other programs may share the descriptor. O_NONBLOCK belongs to the open file, so this module does not change it.
"""

import _socket
import contextlib
import errno
import io
import os
import select
import socket
import stat
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path

from dtqs.log_file import LogFile

MOST_BYTES = 256 * 1024
"""Kept for a slow reader, per process and descriptor, in addition to the buffer of the pipe."""
_Write = Callable[[bytes], int]
_Close = Callable[[], None]


class LineSink:
    """Writes whole lines in order to one descriptor, from any thread. Only `finish` waits."""

    def __init__(self, descriptor: int, notice: Callable[[int], bytes] | None = None) -> None:
        self._descriptor = descriptor
        self._write, self._close = _writer(descriptor)
        self.notice = notice or _notice
        """Makes the line with the number of dropped lines."""
        self.file: LogFile | None = None
        # reentrant: a signal handler of a task may print while the same thread prints
        self._lock = threading.RLock()
        self._pending: deque[bytes] = deque()
        self._pending_bytes = self._dropped = 0
        own = weakref.WeakMethod(self._begin_in_child)
        os.register_at_fork(after_in_child=lambda: (begin := own()) and begin())

    @property
    def behind(self) -> bool:
        """Tell whether lines wait for the reader, or were dropped and not yet reported."""
        return bool(self._pending or self._dropped)

    def put(self, line: bytes) -> None:
        """Write a line, keep it for later, or drop and count it."""
        with self._lock:
            self.follow()
            self.flush()
            if self._dropped or (self._pending and self._pending_bytes + len(line) > MOST_BYTES):
                self._dropped += 1
                return
            self._pending.append(line)
            self._pending_bytes += len(line)
            self.flush()

    def follow(self) -> None:
        """Write on into the new file after a rotation."""
        if self.file:
            self.file.follow()

    def use(self, path: Path) -> None:
        """Write to this file from now on, as everything does that writes to the descriptor. Raises OSError."""
        with self._lock:
            if self.file is None or self.file.path != Path(os.path.abspath(path)):
                self.file = LogFile(path, self._descriptor)
                self._close()
                self.renew()

    def flush(self) -> None:
        """Write as many kept lines as the reader takes."""
        with self._lock:
            while self.behind and self._write_one():
                pass

    def finish(self, seconds: float) -> None:
        """Write the kept lines before this process ends. Wait at most `seconds` for the reader."""
        until = time.monotonic() + seconds
        self.flush()
        while self.behind and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(OSError, ValueError):
                select.select((), (self._descriptor,), (), min(left, 0.05))
            self.flush()

    def close(self) -> None:
        """Close the descriptors that this sink has opened. No line may be put afterwards."""
        self._close()

    def renew(self) -> None:
        """Open the sink again, in a forked process that has closed its descriptors."""
        try:
            self._write, self._close = _writer(self._descriptor)
        except OSError:
            # the descriptor is closed as well: its number may soon belong to another file
            self._write, self._close = len, lambda: None

    def _begin_in_child(self) -> None:
        """Start empty after a fork: the parent writes the kept lines.

        Another thread may have held the lock at the fork, and nobody releases it in the child.
        """
        self._lock = threading.RLock()
        self._dropped = self._pending_bytes = 0
        self._pending = deque()

    def _write_one(self) -> bool:
        """Write the next line or a part of it. Return False if the reader takes nothing now."""
        kept = bool(self._pending)
        line = self._pending[0] if kept else self.notice(self._dropped)
        try:
            written = self._write(line)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.EFBIG:
                return False  # a task's limit on the size of files (RLIMIT_FSIZE) holds for this process: try later
            # the reader has gone, or the disk is full: nobody can learn of it now
            self._dropped += len(self._pending)
            self._pending.clear()
            self._pending_bytes = 0
            return False
        if kept:
            self._pending.popleft()
            self._pending_bytes -= len(line)
        else:
            self._dropped = 0
        if written < len(line):
            self._pending.appendleft(line[written:])
            self._pending_bytes += len(line) - written
        return True


class SinkStream(io.RawIOBase):
    """A sink as the raw file of sys.stdout or sys.stderr."""

    def __init__(self, sink: LineSink, descriptor: int) -> None:
        super().__init__()
        self.sink, self._descriptor = sink, descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        self.sink.put(bytes(data))
        return len(data)

    def flush(self) -> None:
        if not self.closed:
            self.sink.flush()


def guard() -> None:
    """Send standard output and error through sinks, unless a stream has no descriptor. Safe to call twice."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if sink_of(stream) is not None:
            continue
        try:
            descriptor = stream.fileno()
            stream.flush()
            raw = SinkStream(LineSink(descriptor), descriptor)
        except (AttributeError, OSError, ValueError):
            continue
        setattr(sys, name, io.TextIOWrapper(raw, stream.encoding, "backslashreplace", line_buffering=True))


def sink_of(stream: object) -> LineSink | None:
    """Return the sink of a stream, if it has one."""
    raw = getattr(stream, "buffer", None)
    return raw.sink if isinstance(raw, SinkStream) else None


def flush() -> None:
    """Write as many kept lines of this process as the readers take."""
    for sink in _sinks():
        sink.follow()
        if sink.behind:
            sink.flush()


def finish(seconds: float) -> None:
    """Write the kept lines before this process ends. All readers together get `seconds`."""
    until = time.monotonic() + seconds
    for sink in _sinks():
        sink.finish(until - time.monotonic())


def renew() -> None:
    """Open the sinks of this process again, after a fork that closed all descriptors but the first three.

    No file may have been opened since.
    """
    for sink in _sinks():
        # a sink that still holds a closed number would close it later, when another file has it
        with contextlib.suppress(OSError):
            sink.close()
    for sink in _sinks():
        sink.renew()


def _sinks() -> list[LineSink]:
    return [sink for sink in (sink_of(sys.stdout), sink_of(sys.stderr)) if sink is not None]


def _notice(dropped: int) -> bytes:
    return f"[{dropped} lines dropped: nobody read them]\n".encode()


def _writer(descriptor: int) -> tuple[_Write, _Close]:
    """Choose the write and close functions for a kind of descriptor, so that no write waits."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        # as journald gives it. A socket cannot be opened again, but each send may refuse to wait.
        # Not gevent's class: that changes the mode
        end = _socket.socket(fileno=os.dup(descriptor))
        return lambda data: end.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL), end.close
    if stat.S_ISFIFO(mode) or os.isatty(descriptor):
        try:
            # a second open file for the same pipe: only this one is non-blocking
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            # the pipe belongs to another user, as in some containers
            return _spliced(descriptor) if stat.S_ISFIFO(mode) else _polled(descriptor)
        return lambda data: os.write(own, data), lambda: os.close(own)
    # a file or a device never blocks; a second open file would write from its start
    return lambda data: os.write(descriptor, data), lambda: None


def _spliced(descriptor: int) -> tuple[_Write, _Close]:
    """Move the data through a pipe of this process: then the kernel does not wait, in any mode of the other pipe."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def write(data: bytes) -> int:
        count = os.write(writer, data[: select.PIPE_BUF])
        moved = 0
        try:
            moved = os.splice(reader, descriptor, count, flags=os.SPLICE_F_NONBLOCK)
        finally:
            if moved < count:
                os.read(reader, count - moved)
        return moved

    def close() -> None:
        os.close(reader)
        os.close(writer)

    return write, close


def _polled(descriptor: int) -> tuple[_Write, _Close]:
    """Write little, and only if poll reports room: a stopped terminal reports none."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)

    def write(data: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(descriptor, data[:256])

    return write, lambda: None
