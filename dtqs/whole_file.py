"""Write a file whole or not at all: readers see the old content or the new one, never a part.

It imports only what every interpreter has loaded, since a probe starts every few seconds and needs the pulse.
"""

import io
import os
from contextlib import suppress


class WholeFile:
    """A context that gives a file to write. At the end of the block it takes the name `path`; an error leaves nothing.

    `durable`: the new content also survives a power cut. `if_missing`: a file that has the name by then keeps it.
    """

    def __init__(
        self, path: "str | os.PathLike[str]", mode: int = 0o600, *, durable: bool, if_missing: bool = False
    ) -> None:
        self._path, self._mode, self._durable, self._if_missing = os.fspath(path), mode, durable, if_missing
        folder = os.path.dirname(self._path)
        self._folder = folder or "."
        # beside the file: a rename cannot leave a file system; other threads, and processes of other containers, may
        # write the same file now
        self._temporary = os.path.join(folder, f".dtqs-{os.urandom(8).hex()}.part")

    def __enter__(self) -> io.BufferedWriter:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = open(os.open(self._temporary, flags, self._mode), "wb")
        return self._file

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            with self._file:
                self._file.flush()
                if self._durable and kind is None:
                    os.fsync(self._file.fileno())
            if kind is None:
                self._name()
        finally:
            self._remove()

    def _name(self) -> None:
        if self._if_missing:
            try:
                os.link(self._temporary, self._path)
            except FileExistsError:
                return
        else:
            os.replace(self._temporary, self._path)
        if self._durable:
            sync_folder(self._folder)

    def _remove(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._temporary)


def sync_folder(folder: "str | os.PathLike[str]") -> None:
    """Write the folder's entries to the disk: without this, a crash may undo a rename."""
    fds: list[int] = []
    try:
        # map appends in one step: no interrupt comes between the open and the append
        fds += map(os.open, [folder], [os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC])
        os.fsync(fds[0])
    finally:
        for fd in fds:
            os.close(fd)
