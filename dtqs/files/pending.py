"""A file that is being written: first under a temporary name, then kept under its id, where its store decides."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path

from dtqs.errors import FilesUnavailable, InputRefused
from dtqs.sniff import HEAD_BYTES, sniff
from dtqs.whole_file import sync_folder

FILE_MODE, FOLDER_MODE = 0o640, 0o750
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_OF_DISKS = _FULL | {errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE}


class TooLarge(InputRefused):
    """A file is longer than allowed."""

    def __init__(self, uri: str, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(uri, f"longer than the allowed {limit_bytes} bytes")


class PendingFile:
    """One new file. Write it in chunks, then `commit`; leaving the context aborts, and removes what is left.

    `keep` makes the file durable under its id, and may leave the bytes at `temporary`. An interrupt may come after any
    step. So every opened file already belongs to an object that closes it, and an abandoned file is aborted. `commit`
    removes nothing, also if it fails: to unlink 2 GiB takes 100 ms, which an API process spends in a thread.
    """

    _begun = False
    _file: FileIO | None = None

    def __init__(
        self,
        file_id: str,
        temporary: Path,
        keep: Callable[["PendingFile"], None],
        limit_bytes: int | None = None,
        locked: bool = False,
    ) -> None:
        """`locked`: a killed process is known by the lock that its file lacks. See unfinished.py."""
        self.file_id, self.size_bytes, self.temporary = file_id, 0, temporary
        self._keep, self._limit = keep, limit_bytes
        self._hash, self._head = hashlib.sha256(), b""
        try:
            with disk_faults():
                make_parents(temporary)
                self._begun = True
                self._open(temporary)
                while locked and not _hold(self.fileno()):
                    self._close()
                    self._open(temporary)
        except FilesUnavailable:
            self._begun = False  # an existing file belongs to another writer
            raise
        except BaseException:
            self.abort()
            raise

    def write(self, chunk: bytes) -> None:
        """Append a chunk. Raises TooLarge, or FilesUnavailable on a full disk; either removes the file."""
        try:
            self.size_bytes += len(chunk)
            if self._limit is not None and self.size_bytes > self._limit:
                raise TooLarge("upload", self._limit)
            self._note(chunk)
            with disk_faults():
                self._write_all(chunk)
        except BaseException:
            self.abort()
            raise

    def commit(self) -> tuple[str, int, str]:
        """Make the file durable; return its id, size in bytes and SHA-256 in hexadecimal. Raises FilesUnavailable."""
        with disk_faults():
            self._keep(self)
        self._close()
        return self.file_id, self.size_bytes, self.sha256

    def abort(self) -> None:
        """Remove the unfinished file. Safe to call twice, and after a commit."""
        self._close()
        if self._begun:
            with suppress(OSError):  # the sweep removes it later; an error here would hide the first one
                os.unlink(self.temporary)
            self._begun = False

    @property
    def sha256(self) -> str:
        """The hash of the bytes so far, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def media_type(self) -> str:
        """The media type that the bytes so far indicate."""
        return sniff(self._head)

    def fileno(self) -> int:
        """Return the descriptor, for a writer that seeks. Call `remeasure` afterwards."""
        assert self._file
        return self._file.fileno()

    def remeasure(self) -> None:
        """Read size and hash from the file itself, after another writer changed it."""
        fd = self.fileno()
        os.lseek(fd, 0, os.SEEK_SET)
        self.size_bytes, self._hash, self._head = 0, hashlib.sha256(), b""
        while chunk := os.read(fd, 1 << 20):
            self.size_bytes += len(chunk)
            self._note(chunk)

    def __enter__(self) -> "PendingFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def __del__(self) -> None:
        self.abort()

    def _open(self, temporary: Path) -> None:
        opener = partial(os.open, mode=FILE_MODE)
        self._file = open(temporary, "xb+", buffering=0, opener=opener)  # noqa: SIM115 this object closes it

    def _note(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]

    def _write_all(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self.fileno(), rest) :]

    def _close(self) -> None:
        if self._file:
            with suppress(OSError):  # the data is already on the disk, or unwanted
                self._file.close()


def _hold(descriptor: int) -> bool:
    """Lock a new file until it is closed. Return False if unfinished.py took it before: then it has no name."""
    with suppress(OSError):  # a file system without locks: nothing is deleted there
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


@contextmanager
def disk_faults(foreign: bool = False) -> Iterator[None]:
    """Turn errors of the disk into FilesUnavailable: all are worth a retry, a full disk above all.

    `foreign`: an author's code runs inside. Its own errors, of a network or of a missing file, pass unchanged.
    """
    try:
        yield
    except OSError as error:
        if foreign and error.errno not in _OF_DISKS:
            raise
        if error.errno in _FULL:
            raise FilesUnavailable(f"the disk that holds the files is full ({error.strerror})") from error
        raise FilesUnavailable(f"a file could not be written: {error.strerror or error}") from error


def make_parents(path: Path) -> Path:
    """Create the folders above the path durably, and return the path."""
    folder = path.parent
    if not folder.is_dir():
        make_parents(folder)
        with suppress(FileExistsError):
            folder.mkdir(FOLDER_MODE)
        sync_folder(folder.parent)
    return path
