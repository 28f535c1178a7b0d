"""Waiting for what children do: for their end, through a pipe that the interpreter writes to at a signal, and for their READY=1."""

import os
import select
import signal
import socket
from contextlib import suppress
from types import FrameType, TracebackType


class Wakeup:
    """Makes `wait` return as soon as a child has ended. A context manager, for the main thread."""

    def __enter__(self) -> "Wakeup":
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._earlier = signal.signal(signal.SIGCHLD, _nothing)
        self._earlier_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._earlier_fd)
        signal.signal(signal.SIGCHLD, self._earlier)
        os.close(self._read)
        os.close(self._write)

    def wait(self, seconds: float) -> None:
        """Wait for a signal, or for so many seconds."""
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 4096)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A signal without a handler would not be written to the pipe."""


class ReadySocket:
    """Where a child says READY=1 as it would to systemd. A context manager."""

    def __enter__(self) -> "ReadySocket":
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")  # the kernel chooses an abstract name, which has no path that could be too long
        self._socket.setblocking(False)
        self._ready = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def address(self) -> str:
        name: bytes = self._socket.getsockname()
        return f"@{name[1:].decode()}"

    def seen(self) -> bool:
        """Tell whether READY=1 has come."""
        with suppress(BlockingIOError):
            while not self._ready:
                self._ready = b"READY=1" in self._socket.recv(4096).split(b"\n")
        return self._ready
