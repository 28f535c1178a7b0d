"""Temporary files below one folder: those that are being written, those that were fetched, and the private folders of attempts."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dtqs.files.pending import disk_faults, make_parents


class Scratch:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def part(self, file_id: str) -> Path:
        """Return where a file lies that is not whole yet."""
        return self.folder / f"{file_id}.part"

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
