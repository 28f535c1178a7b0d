"""Sources of file: URIs, below the configured folders; and how any file of the disk is opened, of which we cannot know what it is."""

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
    """`closed` is the folder of uploads and outputs, in which nothing is opened by its path."""

    def __init__(self, roots: Sequence[Path], closed: Path) -> None:
        self._roots, self._closed = roots, closed

    def refusal(self) -> str | None:
        """Say why no file: source at all is opened; None where some are."""
        return None if self._roots else "file: sources are not configured; allowed folders are listed in [files] roots"

    def open(self, name: str, path: str) -> BinaryIO:
        """Open a file whose real path is below a root, judged before the open and, since links may change, of what was opened.

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
        # one wording whether the file is there or not: what lies elsewhere on the disk is nobody's to probe
        if not any(_below(real, root) for root in self._roots):
            raise InputRefused(name, "not below a folder of [files] roots")
        if _below(real, self._closed):
            raise InputRefused(name, "uploads and outputs are opened by upload:ID only, which knows whose they are")


def _below(real: str, folder: Path) -> bool:
    root = os.path.realpath(folder)
    return real.startswith(root if root.endswith("/") else f"{root}/")


def open_file(name: str, path: Path) -> BinaryIO:
    """Open a plain file for reading. Raises InputRefused, or FilesUnavailable where the disk fails."""
    try:
        # a pipe or device must not hold the open, and a link put there in between must not be followed
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in _MISSING:
            raise InputRefused(name, "there is no such file") from error
        if error.errno in _REFUSED:
            raise InputRefused(name, f"cannot be read: {error.strerror}") from error
        raise FilesUnavailable(f"{name}: could not be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InputRefused(name, "not a file: a folder, pipe or device")
    return open(fd, "rb")
