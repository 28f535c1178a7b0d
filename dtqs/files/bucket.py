"""Uploads and outputs in an S3-compatible bucket, and sources of s3: URIs. s3.py sends the requests."""

import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from dtqs.config import FilesSection
from dtqs.deadline import Deadline
from dtqs.errors import FilesUnavailable, InputRefused, NotFound
from dtqs.files.pending import PendingFile, TooLarge, disk_faults
from dtqs.files.s3 import Listed, S3Client
from dtqs.files.s3_wire import ObjectStream, S3Refused
from dtqs.files.scratch import Scratch
from dtqs.uuid7 import is_uuid, uuid7

_ASK_AT_ONCE = 500
_LISTED_AT_ONCE = 1000


class BucketStore:
    over_network = True

    def __init__(self, section: FilesSection, client: S3Client, scratch: Scratch) -> None:
        self._bucket, self._prefix = section.s3_bucket, section.s3_prefix
        self._client, self._scratch = client, scratch
        self._after = ""

    def begin(self, limit_bytes: int | None) -> PendingFile:
        """Begin a new file, which is on the disk until it is complete. Raises FilesUnavailable."""
        file_id = uuid7()
        # the keeper knows a worker's files by their folder
        return PendingFile(file_id, self._scratch.part(file_id), self._keep, limit_bytes, self._scratch.owner is None)

    def open(self, name: str, file_id: str) -> BinaryIO:
        """Return the object as an open file. Raises InputRefused, FilesUnavailable."""
        return self._scratch.filled(lambda file: self._copy(name, file_id, file))

    def reader(self, file_id: str, start: int, end: int) -> "ObjectReader":
        """Begin to read a part of a file. Raises NotFound for a missing object, FilesUnavailable."""
        return ObjectReader(lambda at: self._open(file_id, at, end), start, end)

    def remove(self, file_id: str) -> bool:
        """Delete an object. Always returns True: S3 does not say whether it existed. Raises FilesUnavailable."""
        with _refusals():
            self._client.delete(self._bucket, self._key(file_id))
        return True

    def sweep(self, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float, limit: int) -> int:
        """Delete old objects that are not kept, and old multipart uploads; see FileSpace. Raises FilesUnavailable."""
        before = time.time() - older_than_seconds
        with _refusals():
            old = [listed for listed in self._next(min(limit, _LISTED_AT_ONCE)) if listed.at < before]
            gone = sum(self._delete(old[at : at + _ASK_AT_ONCE], keep) for at in range(0, len(old), _ASK_AT_ONCE))
            for listed in self._client.unfinished_uploads(self._bucket, self._prefix, min(limit, _LISTED_AT_ONCE)):
                if listed.at < before and is_uuid(self._id(listed)):
                    self._client.abort(self._bucket, listed.key, listed.upload_id)
                    gone += 1
        return gone

    def look(self) -> None:
        """Check that the bucket can be reached and read. Raises FilesUnavailable."""
        with _refusals():
            self._client.look(self._bucket)

    def _keep(self, pending: PendingFile) -> None:
        self._scratch.stores(pending.file_id)
        with _refusals():
            self._client.put(
                self._bucket, self._key(pending.file_id), pending.fileno(), pending.size_bytes, pending.sha256
            )

    def _copy(self, name: str, file_id: str, into: BinaryIO) -> None:
        try:
            stream = self._open(file_id, 0, None)
        except NotFound as error:
            raise InputRefused(name, "no such file") from error
        pour(name, stream, into, None, None)

    def _open(self, file_id: str, start: int, end: int | None) -> ObjectStream:
        try:
            return self._client.open(self._bucket, self._key(file_id), start, end)
        except S3Refused as error:
            if error.status == 404 and error.code != "NoSuchBucket":
                raise NotFound("file", file_id) from error
            raise FilesUnavailable(str(error)) from error

    def _next(self, limit: int) -> list[Listed]:
        """List the objects after the last call's end. At the end of a round the next one starts from the beginning."""
        found = self._client.objects(self._bucket, self._prefix, self._after, limit)
        self._after = found[-1].key if len(found) == limit else ""
        return [listed for listed in found if is_uuid(self._id(listed))]

    def _delete(self, some: Sequence[Listed], keep: Callable[[Sequence[str]], Container[str]]) -> int:
        known = keep([self._id(listed) for listed in some])
        unknown = [listed for listed in some if self._id(listed) not in known]
        for listed in unknown:
            self._client.delete(self._bucket, listed.key)
        return len(unknown)

    def _key(self, file_id: str) -> str:
        if not is_uuid(file_id):
            raise NotFound("file", file_id)
        return f"{self._prefix}{file_id}"

    def _id(self, listed: Listed) -> str:
        return listed.key.removeprefix(self._prefix)


class BucketSources:
    """Objects that s3: URIs may name."""

    def __init__(self, section: FilesSection, client: S3Client) -> None:
        self._section, self._client = section, client
        self._own = f"{section.s3_bucket}/{section.s3_prefix}" if section.s3_bucket else None

    def refusal(self, place: str) -> str | None:
        """Return why `bucket/key` may not be opened; None if it may."""
        if not self._section.s3_sources:
            return "s3: sources are not configured; allowed buckets are listed in [files] s3_sources"
        # without the slash, archive/public would open archive/public-drafts too
        allowed = self._section.s3_sources
        if place not in allowed and not any(place.startswith(f"{each.removesuffix('/')}/") for each in allowed):
            return "not in a bucket of [files] s3_sources"
        if self._own and place.startswith(self._own):
            return "uploads and outputs can be opened only as upload:ID, which checks their owner"
        return None

    def fetch(self, name: str, place: str, into: BinaryIO) -> None:
        """Write the object into an open file. Raises InputRefused, FilesUnavailable."""
        if refusal := self.refusal(place):
            raise InputRefused(name, refusal)
        bucket, _, key = place.partition("/")
        deadline = Deadline(self._section.fetch_timeout_seconds)
        try:
            stream = self._client.open(bucket, key)
        except S3Refused as error:
            raise InputRefused(name, "no such object" if error.status == 404 else str(error)) from error
        except FilesUnavailable as error:
            wait = error.retry_after_seconds
            raise FilesUnavailable(f"{name}: {error}", retry_after_seconds=wait) from error
        pour(name, stream, into, self._section.fetch_max_bytes, deadline)


class ObjectReader:
    """Reads a range of an object. It reopens a connection that the storage cut, as it may while a slow client reads."""

    over_network = True

    def __init__(self, open_at: Callable[[int], ObjectStream], start: int, end: int) -> None:
        self._open_at, self._at, self._end = open_at, start, end
        self._stream = open_at(start) if start < end else None
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, empty at the end. Raises FilesUnavailable."""
        if not self._rest and self._stream:
            self._rest = self._next()
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def _next(self) -> bytes:
        assert self._stream
        try:
            piece = self._stream.read()
        except FilesUnavailable:
            self._stream.close()
            self._stream = self._open_at(self._at)
            piece = self._stream.read()
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        stream, self._stream = self._stream, None
        if stream:
            stream.close()


def pour(name: str, stream: ObjectStream, into: BinaryIO, limit_bytes: int | None, deadline: Deadline | None) -> None:
    """Copy a stream into an open file, and close the stream. Raises TooLarge, FilesUnavailable."""
    taken = 0
    try:
        while piece := stream.read():
            taken += len(piece)
            if limit_bytes is not None and max(taken, stream.size_bytes or 0) > limit_bytes:
                raise TooLarge(name, limit_bytes)
            if deadline and deadline.passed:
                raise FilesUnavailable(f"{name}: not fetched in time")
            with disk_faults():
                into.write(piece)
    finally:
        stream.close()


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn refusals of the store's own bucket into FilesUnavailable: the operator can fix them, so a retry may help."""
    try:
        yield
    except S3Refused as error:
        raise FilesUnavailable(str(error)) from error
