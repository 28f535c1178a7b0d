"""The file of `[log] file`, in the place of a descriptor such as standard error, and followed through rotations.

Each process looks once a second, when it writes, whether another file has the name, and opens that one. Only `again`
makes the file: a rotation that has just renamed it may be about to make it itself.
"""

import os
import time
from pathlib import Path

_LOOK_SECONDS = 1.0
_MODE = 0o640


class LogFile:
    """The file that a descriptor is open on, by name. Making it opens the file. Raises OSError."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = Path(os.path.abspath(path)), descriptor
        self._look_at, self._file = 0.0, (0, 0)
        self._take(os.O_CREAT)

    def again(self) -> None:
        """Open the file of this name again, or make it. Raises OSError."""
        self._take(os.O_CREAT)

    def follow(self) -> None:
        """Open the file of this name if it is another one by now. An error leaves the old one in use."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        try:
            if _identity(os.stat(self.path)) != self._file:
                self._take(0)
        except OSError:
            return

    def _take(self, flags: int) -> None:
        opened = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | flags, _MODE)
        try:
            self._file = _identity(os.fstat(opened))
            # at once for all threads; no line is torn
            os.dup2(opened, self._descriptor)
        finally:
            os.close(opened)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
