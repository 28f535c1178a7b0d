"""Uploads and outputs in a folder that all nodes share: the path of each file, and its way there."""

import os
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import BinaryIO

from dtqs.errors import FilesUnavailable, NotFound
from dtqs.files.pending import PendingFile, make_parents
from dtqs.files.roots import open_file
from dtqs.files.scratch import Scratch
from dtqs.files.sweep import Sweeper
from dtqs.uuid7 import is_uuid, uuid7
from dtqs.whole_file import sync_folder


class LocalStore:
    over_network = False

    def __init__(self, directory: Path, scratch: Scratch) -> None:
        self._directory, self._scratch = directory, scratch
        self._sweeper = Sweeper(directory, scratch.root)

    def path_of(self, file_id: str) -> Path:
        """Return the path that a file has or would have. Raises NotFound for a malformed id.

        Folders are named after the id's last digits. Its first digits are a clock: a month would share one folder.
        """
        if not is_uuid(file_id):
            raise NotFound("file", file_id)
        return self._directory / file_id[-4:-2] / file_id[-2:] / file_id

    def begin(self, limit_bytes: int | None) -> PendingFile:
        """Begin a new file. Raises FilesUnavailable."""
        file_id = uuid7()
        return PendingFile(file_id, self._scratch.part(file_id), self._keep, limit_bytes)

    def open(self, name: str, file_id: str) -> BinaryIO:
        """Open a file. Raises InputRefused, FilesUnavailable."""
        return open_file(name, self.path_of(file_id))

    def reader(self, file_id: str, start: int, end: int) -> "LocalReader":
        """Begin to read a part of a file. Raises NotFound if the file is gone, FilesUnavailable."""
        try:
            return LocalReader(os.open(self.path_of(file_id), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), start, end)
        except FileNotFoundError:
            raise NotFound("file", file_id) from None
        except OSError as error:
            raise FilesUnavailable(f"a file cannot be opened: {error.strerror or error}") from error

    def remove(self, file_id: str) -> bool:
        """Delete a file, and tell whether it existed. Deleting a missing file is not an error."""
        try:
            self.path_of(file_id).unlink()
        except FileNotFoundError:
            return False
        return True

    def sweep(self, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float, limit: int) -> int:
        return self._sweeper.sweep(keep, older_than_seconds, limit)

    def look(self) -> None:
        """Do nothing: the disk checks cover the folder."""

    def _keep(self, pending: PendingFile) -> None:
        final = self.path_of(pending.file_id)
        self._scratch.stores(pending.file_id)
        os.fsync(pending.fileno())
        os.rename(pending.temporary, make_parents(final))
        sync_folder(final.parent)


class LocalReader:
    """Reads a range of an open file."""

    over_network = False

    def __init__(self, fd: int, start: int, end: int) -> None:
        self._fd, self._at, self._end = fd, start, end

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, empty at the end."""
        piece = os.pread(self._fd, min(size, self._end - self._at), self._at)
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
