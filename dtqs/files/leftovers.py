"""What workers left in the folder of temporary files: one folder each, named after its id. Which of them are dead, PostgreSQL tells the caller.

That is right on any machine that shares the folder, where a pid says nothing.
"""

import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path

from dtqs.errors import FilesUnavailable
from dtqs.files.scratch import NOTE
from dtqs.files.sweep import delete, entries, newest
from dtqs.uuid7 import is_uuid


class Leftovers:
    """`remove` deletes a stored file by its id, and tells whether it was there."""

    def __init__(self, temporary: Path, remove: Callable[[str], bool]) -> None:
        self._temporary, self._remove = temporary, remove

    def owners(self) -> list[str]:
        """Return the ids of the workers that have a folder here."""
        return sorted(path.name for path in entries(self._temporary) if is_uuid(path.name))

    def clear(self, owner: str, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float) -> int:
        """Delete what a worker has left, if all of it is older: its folder, and what it stored that `keep`, asked with the ids, does not return.

        Tells how many files and folders are gone by that. Raises FilesUnavailable while any is left: a later call goes on with it.
        """
        folder = self._temporary / owner
        if older_than_seconds and newest(folder) >= time.time() - older_than_seconds:
            return 0
        try:
            # the large ones first: they need no row and no bucket
            gone = sum(delete(path) for path in entries(folder) if path.name != NOTE)
            gone += self._remove_stored(_stored(folder / NOTE), keep)
        except OSError as error:
            raise FilesUnavailable(
                f"what worker {owner} left could not be removed: {error.strerror or error}"
            ) from error
        delete(folder)
        if folder.exists():
            left = next((path.name for path in entries(folder)), "its folder")
            raise FilesUnavailable(f"what worker {owner} left could not be removed: {left} is still there")
        return gone

    def _remove_stored(self, stored: Sequence[str], keep: Callable[[Sequence[str]], Container[str]]) -> int:
        known = keep(stored) if stored else ()
        return sum(self._remove(file_id) for file_id in stored if file_id not in known)


def _stored(note: Path) -> list[str]:
    """A note whose writer was killed may end in the middle of a line."""
    with suppress(FileNotFoundError):
        return [line for line in note.read_text(encoding="ascii", errors="replace").split() if is_uuid(line)]
    return []
