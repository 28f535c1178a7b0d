"""Sources of file: URIs, below the configured folders, and the safe way to open any file of the disk."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from dtqs.errors import FilesUnavailable, InputRefused

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENXIO, errno.ENODEV})


class Roots:
    """Opens files below the roots. `closed` is the folder of uploads and outputs, which has no access by path."""

    def __init__(self, roots: Sequence[Path], closed: Path) -> None:
        self._roots, self._closed = roots, closed

    def refusal(self) -> str | None:
        """Return why no file: source may be opened; None if there are roots."""
        return None if self._roots else "file: sources are not configured; allowed folders are listed in [files] roots"

    def open(self, name: str, path: str) -> BinaryIO:
        """Open a file whose real path is below a root.

        The path is checked before the open and again on the open file, since links may change in between.

        Raises InputRefused, FilesUnavailable.
        """
        if refusal := self.refusal():
            raise InputRefused(name, refusal)
        real = os.path.realpath(path)
        self._judge(name, real)
        file = open_file(name, Path(real))
        try:
            self._judge(name, os.readlink(f"/proc/self/fd/{file.fileno()}"))
        except BaseException:
            file.close()
            raise
        return file

    def _judge(self, name: str, real: str) -> None:
        # the same message whether the file exists or not, so that nobody can probe the disk
        if not any(_below(real, root) for root in self._roots):
            raise InputRefused(name, "not below a folder of [files] roots")
        if _below(real, self._closed):
            raise InputRefused(name, "uploads and outputs can be opened only as upload:ID, which checks their owner")


def _below(real: str, folder: Path) -> bool:
    root = os.path.realpath(folder)
    return real.startswith(root if root.endswith("/") else f"{root}/")


def open_file(name: str, path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises InputRefused, or FilesUnavailable if the disk fails."""
    try:
        # the flags keep a pipe or device from blocking the open, and refuse a link swapped in meanwhile
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in _MISSING:
            raise InputRefused(name, "no such file") from error
        if error.errno in _REFUSED:
            raise InputRefused(name, f"cannot be read: {error.strerror}") from error
        raise FilesUnavailable(f"{name}: could not be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InputRefused(name, "not a regular file but a folder, pipe or device")
    return open(fd, "rb")
