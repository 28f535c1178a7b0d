"""Rows of uploads and outputs; dtqs/files stores the bytes. The finish of a task inserts the rows of its outputs."""

from collections.abc import Sequence
from dataclasses import dataclass

from dtqs.errors import NotFound
from dtqs.store.driver.database import Database
from dtqs.store.driver.statements import array, sparse
from dtqs.task import OutputFile


@dataclass(frozen=True, slots=True)
class FileRow:
    file_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    created_at: str


@dataclass(slots=True)
class Named:
    """A file that a new task names, and when that task is due: at `due_at` (RFC 3339) or `delay_seconds` from now.

    It is not frozen, since a frozen one costs more to pickle.
    """

    file_id: str
    due_at: str | None
    delay_seconds: float


class FileRows:
    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, upload: OutputFile, owner: str | None) -> None:
        """Store the row of an upload. Raises StoreUnavailable."""
        parameters = {
            "file_id": upload.file_id,
            "name": upload.name,
            "media_type": upload.media_type,
            "size_bytes": upload.size_bytes,
            "sha256": upload.sha256,
            "owner": owner,
        }
        if not self._database.run("insert_file", parameters):
            self._database.confirm("insert_file", parameters)

    def get(self, file_id: str, owner: str | None = None) -> FileRow:
        """Return one file's row. Raises NotFound (also for another owner's file), StoreUnavailable."""
        rows = self._database.run("read_files", {"ids": array([file_id]), "owner": owner})
        if not rows:
            raise NotFound("file", file_id)
        return FileRow(*rows[0])

    def name(self, named: Sequence[Named], owner: str | None = None) -> dict[str, str]:
        """Return the SHA-256 of those of these files that exist and belong to the owner.

        Their retention begins when their tasks are due. Raises StoreUnavailable.
        """
        parameters = {
            "ids": array([each.file_id for each in named]),
            "due_ats": sparse([each.due_at for each in named]),
            "delays": sparse([each.delay_seconds or None for each in named]),
        }
        return dict(self._database.run("name_files", parameters | {"owner": owner}))

    def may_open(self, task_id: str, file_id: str) -> bool:
        """Tell whether a task may read a file: it exists, and belongs to the task's key or that key has scope admin.

        Raises StoreUnavailable.
        """
        return bool(self._database.run("may_open", {"task_id": task_id, "file_id": file_id}))

    def existing(self, file_ids: Sequence[str], owner: str | None = None) -> set[str]:
        """Return which of these files exist and belong to the owner. Raises StoreUnavailable."""
        return {row[0] for row in self._database.run("read_files", {"ids": array(file_ids), "owner": owner})}
