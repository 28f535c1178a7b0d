"""The files of tasks, for worker, API and keeper: sources by URI, uploads and outputs by id."""

from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol

from dtqs.config import FilesSection
from dtqs.errors import InputRefused, NotFound
from dtqs.files.bucket import BucketSources, BucketStore
from dtqs.files.fetch import Fetcher
from dtqs.files.free_space import FreeSpace
from dtqs.files.guard import Guard
from dtqs.files.leftovers import Leftovers
from dtqs.files.local import LocalReader, LocalStore
from dtqs.files.pending import PendingFile, disk_faults
from dtqs.files.roots import Roots
from dtqs.files.s3 import S3Client
from dtqs.files.scratch import TEMPORARY, Scratch
from dtqs.files.uri import SourceUri, parse, parse_url, redacted
from dtqs.task import OutputFile


class StoredBytes(Protocol):
    """A part of a stored file, read from its beginning to its end."""

    over_network: bool

    def read(self, size: int) -> bytes: ...
    def close(self) -> None: ...


class FileSpace:
    """All files of one configuration. Creating the object opens nothing; for object storage it loads botocore.

    `[files] store` says where new files go; files already in the folder are found there as well.
    `owner` is the id of the worker that writes, by which its leftovers are found if it is killed.
    """

    def __init__(self, section: FilesSection, owner: str | None = None) -> None:
        client = self._client = S3Client(section)
        self._scratch = Scratch(section.directory / TEMPORARY, owner)
        self._leftovers = Leftovers(section.directory / TEMPORARY, self.remove)
        self._guard = Guard(section)
        self._fetcher, self._sources = Fetcher(section, self._guard), BucketSources(section, client)
        self._roots = Roots(section.roots, section.directory)
        self._local = LocalStore(section.directory, self._scratch)
        self._bucket = BucketStore(section, client, self._scratch) if section.store == "s3" else None
        self._max_upload_bytes = section.max_upload_bytes
        self.free = FreeSpace(section.directory, section.min_free_bytes)
        """The space that uploads may take."""
        self.jail = section.jail

    @property
    def over_network(self) -> bool:
        """Whether a commit sends new files over the network instead of to the disk."""
        return self._store.over_network

    def refusal(self, uri: str) -> str | None:
        """Return why a source may not be opened, as far as the URI alone tells; None if nothing forbids it yet."""
        try:
            source = parse(uri)
        except ValueError as error:
            return str(error)
        match source.scheme:
            case "upload":
                return None
            case "file":
                return self._roots.refusal()
            case "s3":
                return self._sources.refusal(source.rest)
        return self._guard.refusal(parse_url(uri))

    def open_input(self, uri: str) -> BinaryIO:
        """Open a source for reading, as a file on disk. Raises InputRefused, FilesUnavailable."""
        name = redacted(uri)  # for errors: the URI itself may contain secrets
        try:
            source = parse(uri)
        except ValueError as error:
            raise InputRefused(name, str(error)) from error
        return self._open(name, source)

    def path_of(self, file_id: str) -> Path:
        """Return the path that a file has or would have in the folder. Raises NotFound for a malformed id."""
        return self._local.path_of(file_id)

    def disk_reader(self, file_id: str, start: int, end: int) -> LocalReader | None:
        """Begin to read a part of a file in the folder. None: it can only be in the bucket.

        Raises NotFound if its bytes are gone, FilesUnavailable.
        """
        try:
            return self._local.reader(file_id, start, end)
        except NotFound:
            if self._bucket is None:
                raise
            return None

    def bucket_reader(self, file_id: str, start: int, end: int) -> StoredBytes:
        """Begin to read a part of a file in the bucket. Raises NotFound if its bytes are gone, FilesUnavailable."""
        if self._bucket is None:
            raise NotFound("file", file_id)
        return self._bucket.reader(file_id, start, end)

    def reader(self, file_id: str, start: int, end: int) -> StoredBytes:
        """Begin to read a part of an upload or output. Raises NotFound if its bytes are gone, FilesUnavailable."""
        return self.disk_reader(file_id, start, end) or self.bucket_reader(file_id, start, end)

    def new_upload(self) -> PendingFile:
        """Begin a file with the size limit of uploads. Raises FilesUnavailable when the disk is full."""
        return self._store.begin(self._max_upload_bytes)

    def add_output(self, name: str, write: Callable[[BinaryIO], object], media_type: str) -> OutputFile:
        """Store the bytes that `write` writes, durably, under a new id.

        Raises FilesUnavailable if the disk is full or fails; other exceptions of `write` pass.
        """
        pending = self._store.begin(None)
        try:
            with pending:
                with disk_faults():
                    file = open(pending.temporary, "r+b")  # noqa: SIM115 the next line closes it
                with disk_faults(foreign=True), file:
                    write(file)
                with disk_faults():
                    pending.remeasure()
                file_id, size_bytes, sha256 = pending.commit()
            return OutputFile(file_id, name, media_type, size_bytes, sha256)
        except BaseException:
            if not self.over_network:
                with suppress(OSError):  # the sweep removes the file then; the interrupt must not be lost
                    self._local.remove(pending.file_id)  # an interrupt after storing leaves a file without a row
            raise

    def temporary_dir(self, task_id: str) -> TemporaryDirectory[str]:
        """Create a folder that only this user may enter. Raises FilesUnavailable when the disk is full."""
        return self._scratch.private_folder(task_id)

    def sweep(self, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float, limit: int) -> int:
        """Delete old files that `keep` does not return; return their number. Raises FilesUnavailable.

        `keep` gets many ids per call. A sweep looks at up to `limit` files and folders, and the next one continues.
        An output has no row until its task ends, so `older_than_seconds` must exceed the longest attempt.
        """
        gone = self._local.sweep(keep, older_than_seconds, limit)
        return gone + (self._bucket.sweep(keep, older_than_seconds, limit) if self._bucket else 0)

    def settled(self) -> None:
        """Stop treating the files stored so far as leftovers: their tasks have outcomes, or other workers have them."""
        self._scratch.settled()

    def owners(self) -> list[str]:
        """Return the ids of the workers that have temporary files here, or left some."""
        return self._leftovers.owners()

    def clear(
        self, owner: str, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float = 0.0
    ) -> int:
        """Delete a dead worker's leftovers if all are older, and return their number.

        They are its temporary files, and its stored files that `keep` does not return. Raises FilesUnavailable.
        """
        return self._leftovers.clear(owner, keep, older_than_seconds)

    def remove(self, file_id: str) -> bool:
        """Delete a file, and tell whether it existed, if the store knows. Raises FilesUnavailable.

        Deleting a missing file is not an error.
        """
        return self._store_of(file_id).remove(file_id)

    def remove_new(self, file_id: str) -> None:
        """Delete a file that was just stored, so it is where new files go. Raises FilesUnavailable."""
        self._store.remove(file_id)

    def look(self) -> None:
        """Check that the store can be reached. Raises FilesUnavailable."""
        self._store.look()

    def close(self) -> None:
        """Close the kept connections. Safe to call twice; the object stays usable."""
        self._client.close()

    def _open(self, name: str, source: SourceUri) -> BinaryIO:
        match source.scheme:
            case "upload":
                return self._store_of(source.rest).open(name, source.rest)
            case "file":
                return self._roots.open(name, source.rest)
            case "s3":
                return self._scratch.filled(lambda file: self._sources.fetch(name, source.rest, file))
        return self._scratch.filled(lambda file: self._fetcher.fetch(name, parse_url(source.rest), file))

    @property
    def _store(self) -> LocalStore | BucketStore:
        return self._bucket or self._local

    def _store_of(self, file_id: str) -> LocalStore | BucketStore:
        return self._bucket if self._bucket and not self._local.path_of(file_id).exists() else self._local
