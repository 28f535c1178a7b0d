"""The files that tasks read and write, as worker, API and keeper see them: sources by their URI, uploads and outputs by their id."""

from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol

from dtqs.config import FilesSection
from dtqs.errors import InputRefused
from dtqs.files.bucket import BucketSources, BucketStore
from dtqs.files.fetch import Fetcher
from dtqs.files.guard import Guard
from dtqs.files.leftovers import Leftovers
from dtqs.files.local import LocalStore
from dtqs.files.pending import PendingFile, disk_faults
from dtqs.files.roots import Roots
from dtqs.files.s3 import S3Client
from dtqs.files.scratch import Scratch
from dtqs.files.uri import SourceUri, parse, parse_url, worded
from dtqs.task import OutputFile


class StoredBytes(Protocol):
    """A part of a stored file, to be read from its beginning to its end."""

    over_network: bool

    def read(self, size: int) -> bytes: ...
    def close(self) -> None: ...


class FileSpace:
    """Making one touches nothing. What `[files] store` says is where new files go; those that lie in the folder are found there all the same.

    `owner` is the id of the worker that writes: what it leaves when it is killed is found by that.
    """

    def __init__(self, section: FilesSection, owner: str | None = None) -> None:
        client = self._client = S3Client(section)
        self._scratch = Scratch(section.directory / "tmp", owner)
        self._leftovers = Leftovers(section.directory / "tmp", self.remove)
        self._guard = Guard(section)
        self._fetcher, self._sources = Fetcher(section, self._guard), BucketSources(section, client)
        self._roots = Roots(section.roots, section.directory)
        self._local = LocalStore(section.directory, self._scratch)
        self._bucket = BucketStore(section, client, self._scratch) if section.store == "s3" else None
        self._max_upload_bytes = section.max_upload_bytes
        self.jail = section.jail

    @property
    def over_network(self) -> bool:
        """New files go over the network at their commit, and not to the disk."""
        return self._store.over_network

    def refusal(self, uri: str) -> str | None:
        """Say why a source would not be opened, as far as that is known without looking; None where it may be."""
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
        """Open a source for reading: a file of the disk, whatever it was before. Raises InputRefused, FilesUnavailable."""
        name = worded(uri)  # what errors say: the URI itself may hold secrets
        try:
            source = parse(uri)
        except ValueError as error:
            raise InputRefused(name, str(error)) from error
        return self._open(name, source)

    def path_of(self, file_id: str) -> Path:
        """Return where a file is, or would be, in the folder. Raises NotFound for what is no id."""
        return self._local.path_of(file_id)

    def reader(self, file_id: str, start: int, end: int) -> StoredBytes:
        """Begin to read an upload or output from one place to another. Raises NotFound when its bytes are gone, FilesUnavailable."""
        return self._store_of(file_id).reader(file_id, start, end)

    def new_upload(self) -> PendingFile:
        """Begin a file that is not to be longer than an upload may be. Raises FilesUnavailable when the disk is full."""
        return self._store.begin(self._max_upload_bytes)

    def add_output(self, name: str, write: Callable[[BinaryIO], object], media_type: str) -> OutputFile:
        """Store what `write` writes into the open file that it gets, durably, under a new id. Raises FilesUnavailable when the disk is full."""
        pending = self._store.begin(None)
        try:
            with pending:
                with disk_faults(), open(pending.temporary, "r+b") as file:
                    write(file)
                with disk_faults():
                    pending.remeasure()
                file_id, size_bytes, sha256 = pending.commit()
            return OutputFile(file_id, name, media_type, size_bytes, sha256)
        except BaseException:
            if not self.over_network:
                with suppress(OSError):  # it is swept then; the interrupt must not be lost
                    self._local.remove(pending.file_id)  # one may come when it is stored, and nobody knows of it
            raise

    def temporary_dir(self, task_id: str) -> TemporaryDirectory[str]:
        """Make a folder that only this user may enter. Raises FilesUnavailable when the disk is full."""
        return self._scratch.private_folder(task_id)

    def sweep(self, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float, limit: int) -> int:
        """Delete files that are older and that `keep`, asked with many ids at once, does not return; tell how many. Raises FilesUnavailable.

        At most `limit` files and folders are looked at, and the next call goes on from there. An output has no row until its task ends,
        so older than must be longer than any attempt may take.
        """
        gone = self._local.sweep(keep, older_than_seconds, limit)
        return gone + (self._bucket.sweep(keep, older_than_seconds, limit) if self._bucket else 0)

    def settled(self) -> None:
        """The tasks of what was stored so far have got their outcomes, or others have them: it is no leftover of ours from here on."""
        self._scratch.settled()

    def owners(self) -> list[str]:
        """Return the ids of the workers that have temporary files, or have left some."""
        return self._leftovers.owners()

    def clear(
        self, owner: str, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float = 0.0
    ) -> int:
        """Delete what a dead worker left, if all of it is older, and tell how much: temporary files, and stored ones that `keep` does not return.

        Raises FilesUnavailable.
        """
        return self._leftovers.clear(owner, keep, older_than_seconds)

    def remove(self, file_id: str) -> bool:
        """Delete a file, and tell whether it was there, as far as that is known; one that is not is none of ours to wonder at. Raises FilesUnavailable."""
        return self._store_of(file_id).remove(file_id)

    def look(self) -> None:
        """See whether the store can be reached. Raises FilesUnavailable."""
        self._store.look()

    def close(self) -> None:
        """Close connections that are kept for the next file. Safe to call twice, and not the end of it."""
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
