"""Output that never waits for its reader: what a full pipe does not take is kept, up to a bound; what goes beyond is dropped and counted.

The descriptor may be shared with other programs, so its own mode is left alone: O_NONBLOCK belongs to the open file, not to us.
"""

import _socket
import contextlib
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

MOST_BYTES = 256 * 1024
"""Kept for a slow reader, per process and descriptor, beyond what the pipe itself holds."""
_Write = Callable[[bytes], int]
_Close = Callable[[], None]


class LineSink:
    """Whole lines in order to one descriptor, from any thread. No call waits, but `finish` for as long as it is told."""

    def __init__(self, descriptor: int, notice: Callable[[int], bytes] | None = None) -> None:
        self._descriptor = descriptor
        self._write, self._close = _way(descriptor)
        self.notice = notice or _notice
        """Makes the line that says how many were dropped."""
        # reentrant: a signal handler of a task may print while its thread prints
        self._lock = threading.RLock()
        self._pending: deque[bytes] = deque()
        self._pending_bytes = self._dropped = 0
        own = weakref.WeakMethod(self._begin_in_child)
        os.register_at_fork(after_in_child=lambda: (begin := own()) and begin())

    @property
    def behind(self) -> bool:
        """Tell whether the reader has not taken everything."""
        return bool(self._pending or self._dropped)

    def put(self, line: bytes) -> None:
        """Write a line, or keep it, or drop and count it."""
        with self._lock:
            self.flush()
            if self._dropped or (self._pending and self._pending_bytes + len(line) > MOST_BYTES):
                self._dropped += 1
                return
            self._pending.append(line)
            self._pending_bytes += len(line)
            self.flush()

    def flush(self) -> None:
        """Write what is kept as far as the reader takes it."""
        with self._lock:
            while self.behind and self._write_one():
                pass

    def finish(self, seconds: float) -> None:
        """Write what is kept, before this process ends: for so many seconds at most."""
        until = time.monotonic() + seconds
        self.flush()
        while self.behind and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(OSError, ValueError):
                select.select((), (self._descriptor,), (), min(left, 0.05))
            self.flush()

    def close(self) -> None:
        """Close what this sink has opened itself; nothing may be put afterwards."""
        self._close()

    def renew(self) -> None:
        """Find the way anew, in a forked process that has closed what this sink had opened."""
        try:
            self._write, self._close = _way(self._descriptor)
        except OSError:
            # closed as well: its number may soon be another file's
            self._write, self._close = len, lambda: None

    def _begin_in_child(self) -> None:
        """After a fork another thread may have held the lock, which nobody releases here; what is kept is the parent's to write."""
        self._lock = threading.RLock()
        self._dropped = self._pending_bytes = 0
        self._pending = deque()

    def _write_one(self) -> bool:
        """Write the next line, or a part of it; False: not now."""
        kept = bool(self._pending)
        line = self._pending[0] if kept else self.notice(self._dropped)
        try:
            written = self._write(line)
        except BlockingIOError:
            return False
        except OSError:
            # the reader is gone, or the disk is full: nobody can be told now
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
    """A sink as the raw file below sys.stdout or sys.stderr."""

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
    """Let what this process prints go through sinks. Safe to call twice; a stream that has no descriptor is left as it is."""
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
    """Return the sink below a stream, if it has one."""
    raw = getattr(stream, "buffer", None)
    return raw.sink if isinstance(raw, SinkStream) else None


def flush() -> None:
    """Write what is kept of this process's output as far as the readers take it."""
    for sink in _own():
        if sink.behind:
            sink.flush()


def finish(seconds: float) -> None:
    """Write what is kept before this process ends; all readers together get so many seconds."""
    until = time.monotonic() + seconds
    for sink in _own():
        sink.finish(until - time.monotonic())


def renew() -> None:
    """Let this process's sinks write again, after a fork and the closing of all descriptors but the first three. Nothing may have been opened since."""
    for sink in _own():
        # what holds a closed number must not close it later, when it is another file's
        with contextlib.suppress(OSError):
            sink.close()
    for sink in _own():
        sink.renew()


def _own() -> list[LineSink]:
    return [sink for sink in (sink_of(sys.stdout), sink_of(sys.stderr)) if sink is not None]


def _notice(dropped: int) -> bytes:
    return f"[{dropped} lines dropped: nobody read them]\n".encode()


def _way(descriptor: int) -> tuple[_Write, _Close]:
    """Choose how to write without waiting, by what the descriptor is."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        # journald's; a socket cannot be opened again, but each send may say that it does not wait. Not gevent's class, which changes the mode
        end = _socket.socket(fileno=os.dup(descriptor))
        return lambda data: end.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL), end.close
    if stat.S_ISFIFO(mode) or os.isatty(descriptor):
        try:
            # an open file of our own, which alone does not wait
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            # it belongs to another user, as in some containers
            return _spliced(descriptor) if stat.S_ISFIFO(mode) else _polled(descriptor)
        return lambda data: os.write(own, data), lambda: os.close(own)
    # a file or a device that holds nobody up; opened again it would begin at its start
    return lambda data: os.write(descriptor, data), lambda: None


def _spliced(descriptor: int) -> tuple[_Write, _Close]:
    """Move the data from a pipe of our own: the kernel does not wait then, whatever the mode of the other pipe."""
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
    """Write little, and only when there is room: a terminal that somebody holds up says that it has none."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)

    def write(data: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(descriptor, data[:256])

    return write, lambda: None
