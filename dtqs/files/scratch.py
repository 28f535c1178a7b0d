"""Temporary files below one folder: those that are being written, those that were fetched, and the private folders of attempts.

A worker has a folder of its own in it, named after its id: so what a dead one has left can be told from what lives (leftovers.py).
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dtqs.files.pending import disk_faults, make_parents

NOTE = "stored"
"""The file in a worker's folder that names what it has stored since its last finish."""


class Scratch:
    """`owner` is the worker that writes here, none for others. One attempt at a time writes in a worker's folder."""

    def __init__(self, root: Path, owner: str | None = None) -> None:
        self.root, self.folder = root, root / owner if owner else root
        self._note = self.folder / NOTE if owner else None
        self._settled = True

    def part(self, file_id: str) -> Path:
        """Return where a file lies that is not whole yet."""
        return self.folder / f"{file_id}.part"

    def stores(self, file_id: str) -> None:
        """Write down that the file is about to lie in the store, where no row tells of it before its task ends. Raises FilesUnavailable."""
        if self._note is None:
            return
        mode, self._settled = "w" if self._settled else "a", False
        with disk_faults(), open(make_parents(self._note), mode, encoding="ascii") as note:
            note.write(f"{file_id}\n")

    def settled(self) -> None:
        """What was stored so far has its row, or never will: the next note begins anew."""
        self._settled = True

    def filled(self, fill: Callable[[BinaryIO], object]) -> BinaryIO:
        """Return an open file with what `fill` has written into it, at its beginning; it has no name, and goes when it is closed.

        Raises FilesUnavailable when the disk is full.
        """
        with disk_faults():
            make_parents(self.folder / "any")
            file: BinaryIO = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 the caller closes it
        try:
            fill(file)
            with disk_faults():
                file.seek(0)
        except BaseException:
            with suppress(OSError):  # it writes what is left to the same full disk
                file.close()
            raise
        return file

    def private_folder(self, name: str) -> tempfile.TemporaryDirectory[str]:
        """Make a folder that only this user may enter. Raises FilesUnavailable when the disk is full."""
        with disk_faults():
            make_parents(self.folder / name)
            return tempfile.TemporaryDirectory(prefix=f"{name}.", dir=self.folder, ignore_cleanup_errors=True)
