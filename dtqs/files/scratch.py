"""Temporary files below one folder: files being written, fetched files, and the private folders of attempts.

Each worker has its own folder there, named after its id, so that leftovers.py can tell the dead from the living.
"""

import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dtqs.files.pending import disk_faults, make_parents

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = re.compile(rf"{_UUID}\.(?:part|[a-z0-9_]{{8}})|dtqs\.[a-z0-9_]{{8}}")
"""Names made here: an unfinished file, the private folder of a task, and an unnamed file on an old file system."""
PART = re.compile(rf"{_UUID}\.part")
"""The name of an unfinished file."""
TEMPORARY = "tmp"
"""The folder below [files] directory."""
NOTE = "stored"
"""The file in a worker's folder that lists the files it stored since its last finish."""


def is_temporary(name: str) -> bool:
    """Tell whether DTQS makes temporary files and folders of such names. All others belong to another program."""
    return _NAME.fullmatch(name) is not None


class Scratch:
    """`owner` is the worker that writes here, or None. One attempt at a time writes in a worker's folder."""

    def __init__(self, root: Path, owner: str | None = None) -> None:
        self.root, self.owner, self.folder = root, owner, root / owner if owner else root
        self._note = self.folder / NOTE if owner else None
        self._settled = True

    def part(self, file_id: str) -> Path:
        """Return the path of an unfinished file."""
        return self.folder / f"{file_id}.part"

    def stores(self, file_id: str) -> None:
        """Note that a file is about to be stored: until its task ends, no row names it. Raises FilesUnavailable."""
        if self._note is None:
            return
        mode, self._settled = "w" if self._settled else "a", False
        with disk_faults(), open(make_parents(self._note), mode, encoding="ascii") as note:
            note.write(f"{file_id}\n")

    def settled(self) -> None:
        """Begin a new note at the next file: each file stored so far has its row, or will never get one."""
        self._settled = True

    def filled(self, fill: Callable[[BinaryIO], object]) -> BinaryIO:
        """Return an unnamed temporary file that `fill` has written, at its beginning; closing it removes it.

        Raises FilesUnavailable when the disk is full.
        """
        with disk_faults():
            make_parents(self.folder / "any")
            file: BinaryIO = tempfile.TemporaryFile(prefix="dtqs.", dir=self.folder)  # noqa: SIM115 its caller closes
        try:
            fill(file)
            with disk_faults():
                file.seek(0)
        except BaseException:
            with suppress(OSError):  # closing flushes the buffer to the same full disk
                file.close()
            raise
        return file

    def private_folder(self, name: str) -> tempfile.TemporaryDirectory[str]:
        """Create a folder that only this user may enter. Raises FilesUnavailable when the disk is full."""
        with disk_faults():
            make_parents(self.folder / name)
            return tempfile.TemporaryDirectory(prefix=f"{name}.", dir=self.folder, ignore_cleanup_errors=True)
