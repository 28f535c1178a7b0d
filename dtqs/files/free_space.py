"""The free space that uploads leave to the outputs of tasks. A full disk would end attempts of all keys."""

import os
import time
from pathlib import Path

from dtqs.errors import FilesUnavailable

_MOST_PART = 20
"""The reserve is at most this part of the file system, so a small disk is of use, too."""
_LEAST_FILES = 50_000
"""Uploads also leave this many files free, or the same part of all: empty files take no bytes."""
_VALID_SECONDS = 0.2
"""How long a measurement is valid. Uploads that go on meanwhile are subtracted from it."""


class DiskReserved(FilesUnavailable):
    """The disk of the files has less free space than `[files] min_free_bytes`. It takes no uploads, but outputs."""

    def __init__(self, least_bytes: int) -> None:
        self.least_bytes = least_bytes
        super().__init__(
            f"uploads leave {least_bytes} bytes of the disk, or a twentieth, and some files to outputs of tasks "
            "([files] min_free_bytes): free some space"
        )


class FreeSpace:
    """`least_bytes`: 0 for no reserve. Its callers are threads of one process: a race costs one measurement more."""

    def __init__(self, directory: Path, least_bytes: int) -> None:
        self._directory, self._least_bytes = directory, least_bytes
        self._left, self._has_files, self._valid_until = 0, True, 0.0

    def require(self, size_bytes: int) -> None:
        """Take some bytes for an upload. Raises DiskReserved. A network disk may not answer for long."""
        if not self._least_bytes:
            return
        now = time.monotonic()
        if now >= self._valid_until:
            self._measure()
            self._valid_until = now + _VALID_SECONDS
        self._left -= size_bytes
        if self._left < 0 or not self._has_files:
            raise DiskReserved(self._least_bytes)

    def _measure(self) -> None:
        try:
            found = os.statvfs(next(each for each in (self._directory, *self._directory.parents) if each.exists()))
        except OSError:  # the write itself tells the fault
            self._left, self._has_files = self._least_bytes, True
            return
        reserve = min(self._least_bytes, found.f_blocks * found.f_frsize // _MOST_PART)
        self._left = found.f_bavail * found.f_frsize - reserve
        # some file systems have no limit of files, and tell zero
        self._has_files = not found.f_files or found.f_favail > min(_LEAST_FILES, found.f_files // _MOST_PART)
