"""Files that dead workers left: each worker has a temporary folder named after its id. PostgreSQL knows the dead ones.

Unlike a pid, the id is valid on every machine that shares the folder.
"""

import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path

from dtqs.errors import FilesUnavailable
from dtqs.files.scratch import NOTE
from dtqs.files.sweep import delete, entries, newest
from dtqs.uuid7 import is_uuid, made_at


class Leftovers:
    """Leftovers by worker. `remove` deletes a stored file by its id, and tells whether it existed."""

    def __init__(self, temporary: Path, remove: Callable[[str], bool]) -> None:
        self._temporary, self._remove = temporary, remove

    def owners(self) -> list[str]:
        """Return the ids of the workers that have a folder here."""
        return sorted(path.name for path in entries(self._temporary) if _is_workers(path))

    def clear(self, owner: str, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float) -> int:
        """Delete a worker's leftovers if all are older; return the number of deleted files and folders.

        Leftovers are its folder, and its stored files without a row. `keep` returns those ids that must stay.
        Raises FilesUnavailable while any is left; a later call continues.
        """
        folder = self._temporary / owner
        if older_than_seconds and newest(folder) >= time.time() - older_than_seconds:
            return 0
        try:
            # temporary files first: they are large and need neither rows nor a bucket
            gone = sum(delete(path) for path in entries(folder) if path.name != NOTE)
            gone += self._remove_stored(_stored(folder / NOTE), keep)
        except OSError as error:
            raise FilesUnavailable(
                f"leftovers of worker {owner} could not be removed: {error.strerror or error}"
            ) from error
        delete(folder)
        if folder.exists():
            left = next((path.name for path in entries(folder)), "its folder")
            raise FilesUnavailable(f"leftovers of worker {owner} could not be removed: {left} still exists")
        return gone

    def _remove_stored(self, stored: Sequence[str], keep: Callable[[Sequence[str]], Container[str]]) -> int:
        known = keep(stored) if stored else ()
        return sum(self._remove(file_id) for file_id in stored if file_id not in known)


def _is_workers(path: Path) -> bool:
    """Tell whether it is a folder named as an id of a worker. Other programs use UUIDs of other versions."""
    return is_uuid(path.name) and made_at(path.name) > 0 and path.is_dir() and not path.is_symlink()


def _stored(note: Path) -> list[str]:
    """Return the ids in a note. A note may end in the middle of a line, if its writer was killed."""
    with suppress(FileNotFoundError):
        return [line for line in note.read_text(encoding="ascii", errors="replace").split() if is_uuid(line)]
    return []
