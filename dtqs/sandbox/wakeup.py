"""Waiting for the end of children, through the signal wake-up pipe, and for their READY=1."""

import os
import select
import signal
import socket
from contextlib import suppress
from types import FrameType, TracebackType


class Wakeup:
    """Lets `wait` return when a child ends. A context manager for the main thread."""

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
        """Wait for a signal, at most `seconds`."""
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 4096)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: Python writes only signals with a handler to the pipe."""


class ReadySocket:
    """A socket for READY=1 from a child, as systemd has one. A context manager."""

    def __enter__(self) -> "ReadySocket":
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")  # an abstract name from the kernel: a path could be too long
        self._socket.setblocking(False)
        self._ready = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def address(self) -> str:
        """Value of NOTIFY_SOCKET."""
        name: bytes = self._socket.getsockname()
        return f"@{name[1:].decode()}"

    def seen(self) -> bool:
        """Return whether READY=1 has arrived."""
        with suppress(BlockingIOError):
            while not self._ready:
                self._ready = b"READY=1" in self._socket.recv(4096).split(b"\n")
        return self._ready
