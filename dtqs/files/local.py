"""Where files live: uploads and outputs below one folder, sources below the configured roots. What a URI looks like is uri.py's."""

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dtqs.config import FilesSection
from dtqs.errors import InputRefused, NotFound, TransientError
from dtqs.files.pending import PendingFile, disk_faults, make_parents
from dtqs.files.sweep import Sweeper
from dtqs.files.uri import parse
from dtqs.task import OutputFile
from dtqs.uuid7 import is_uuid, uuid7

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENXIO, errno.ENODEV})


class FileSpace:
    """The files that tasks read and write. Making one touches nothing."""

    def __init__(self, section: FilesSection) -> None:
        self._directory, self._roots = section.directory, section.roots
        self._temporary = section.directory / "tmp"
        self._max_upload_bytes = section.max_upload_bytes
        self._sweeper = Sweeper(section.directory, self._temporary)

    def open_input(self, uri: str) -> BinaryIO:
        """Open a source for reading. Raises InputRefused, or TransientError where the disk fails."""
        try:
            source = parse(uri)
        except ValueError as error:
            raise InputRefused(uri, str(error)) from error
        if source.scheme == "upload":
            return _open(uri, self.path_of(source.rest))
        return self._open_below_root(uri, source.rest)

    def path_of(self, file_id: str) -> Path:
        """Return where a file is, or would be. Raises NotFound for what is no id.

        Folders are named after the id's last digits: its first ones are a clock, and would put the files of a month into one.
        """
        if not is_uuid(file_id):
            raise NotFound("file", file_id)
        return self._directory / file_id[-4:-2] / file_id[-2:] / file_id

    def new_upload(self) -> PendingFile:
        """Begin a file that is not to be longer than an upload may be. Raises TransientError when the disk is full."""
        return self._begin(self._max_upload_bytes)

    def add_output(self, name: str, write: Callable[[BinaryIO], object], media_type: str) -> OutputFile:
        """Store what `write` writes into the open file that it gets, durably, under a new id. Raises TransientError when the disk is full."""
        with self._begin(None) as pending:
            with disk_faults(), open(os.dup(pending.fileno()), "r+b") as file:
                write(file)
            with disk_faults():
                pending.remeasure()
            file_id, size_bytes, sha256 = pending.commit()
        return OutputFile(file_id, name, media_type, size_bytes, sha256)

    def temporary_dir(self, task_id: str) -> tempfile.TemporaryDirectory[str]:
        """Make a folder that only this user may enter. Raises TransientError when the disk is full."""
        with disk_faults():
            make_parents(self._temporary / task_id)
            return tempfile.TemporaryDirectory(prefix=f"{task_id}.", dir=self._temporary, ignore_cleanup_errors=True)

    def sweep(self, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float, limit: int) -> int:
        """Delete files that are older and that `keep`, asked with many ids at once, does not return; tell how many.

        At most `limit` files and folders are looked at, and the next call goes on from there. An output has no row until its task ends,
        so older than must be longer than any attempt may take.
        """
        return self._sweeper.sweep(keep, older_than_seconds, limit)

    def remove(self, file_id: str) -> None:
        """Delete a file; one that is not there is none of ours to wonder at."""
        with suppress(FileNotFoundError):
            self.path_of(file_id).unlink()

    def _begin(self, limit_bytes: int | None) -> PendingFile:
        file_id = uuid7()
        return PendingFile(file_id, self._temporary / f"{file_id}.part", self.path_of(file_id), limit_bytes)

    def _open_below_root(self, uri: str, path: str) -> BinaryIO:
        """Open a file whose real path is below a root, judged before the open and, since links may change, of what was opened."""
        if not self._roots:
            raise InputRefused(uri, "file: sources are not configured; allowed folders are listed in [files] roots")
        real = os.path.realpath(path)
        self._judge(uri, real)
        file = _open(uri, Path(real))
        try:
            self._judge(uri, os.readlink(f"/proc/self/fd/{file.fileno()}"))
        except BaseException:
            file.close()
            raise
        return file

    def _judge(self, uri: str, real: str) -> None:
        # one wording whether the file is there or not: what lies elsewhere on the disk is nobody's to probe
        if not any(_below(real, root) for root in self._roots):
            raise InputRefused(uri, "not below a folder of [files] roots")
        if _below(real, self._directory):
            raise InputRefused(uri, "uploads and outputs are opened by upload:ID only, which knows whose they are")


def _below(real: str, folder: Path) -> bool:
    root = os.path.realpath(folder)
    return real.startswith(root if root.endswith("/") else f"{root}/")


def _open(uri: str, path: Path) -> BinaryIO:
    try:
        # a pipe or device must not hold the open, and a link put there in between must not be followed
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in _MISSING:
            raise InputRefused(uri, "there is no such file") from error
        if error.errno in _REFUSED:
            raise InputRefused(uri, f"cannot be read: {error.strerror}") from error
        raise TransientError(f"{uri}: could not be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InputRefused(uri, "not a file: a folder, pipe or device")
    return open(fd, "rb")
