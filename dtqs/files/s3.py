"""A client of S3-compatible object storage. s3_wire.py sends its requests; bucket.py uses it."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote
from xml.etree import ElementTree

from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files.s3_upload import PART_BYTES, PartsUpload
from dtqs.files.s3_wire import FilePart, ObjectStream, Request, S3Refused, S3Wire, name, text


@dataclass(frozen=True, slots=True)
class Listed:
    """One object, or an unfinished multipart upload; `at` is its time of writing or start in seconds since 1970."""

    key: str
    at: float
    upload_id: str = ""


class S3Client:
    """Every method raises S3Refused if the storage refuses, and FilesUnavailable if it cannot be reached."""

    def __init__(self, section: FilesSection) -> None:
        self._wire = S3Wire(section)

    def put(self, bucket: str, key: str, fd: int, size: int, sha256: str) -> None:
        """Store an open file; the object exists only when it is complete."""
        if size <= PART_BYTES:
            self._wire.ask(Request("PUT", bucket, key, body=FilePart(fd, 0, size), sha256=sha256))
        else:
            self._put_in_parts(bucket, key, fd, size)

    def open(self, bucket: str, key: str, start: int = 0, end: int | None = None) -> ObjectStream:
        """Begin to read an object from `start` to before `end`."""
        part = f"bytes={start}-{'' if end is None else end - 1}" if start or end is not None else ""
        return self._wire.open(Request("GET", bucket, key, part=part))

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object. Deleting a missing one is not an error."""
        self._wire.ask(Request("DELETE", bucket, key))

    def objects(self, bucket: str, prefix: str, after: str, limit: int) -> list[Listed]:
        """List objects in the order of their keys, starting after the key `after`."""
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix), ("max-keys", str(limit))]
        answer = self._wire.ask(Request("GET", bucket, query=[*query, ("start-after", after)] if after else query))[0]
        return [
            Listed(unquote(text(each, "Key")), _time(text(each, "LastModified"))) for each in _all(answer, "Contents")
        ]

    def unfinished_uploads(self, bucket: str, prefix: str, limit: int) -> list[Listed]:
        """List unfinished multipart uploads."""
        query = [("uploads", ""), ("encoding-type", "url"), ("prefix", prefix), ("max-uploads", str(limit))]
        answer = self._wire.ask(Request("GET", bucket, query=query))[0]
        return [
            Listed(unquote(text(each, "Key")), _time(text(each, "Initiated")), text(each, "UploadId"))
            for each in _all(answer, "Upload")
        ]

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Cancel a multipart upload."""
        self._wire.ask(Request("DELETE", bucket, key, query=[("uploadId", upload_id)]))

    def look(self, bucket: str) -> None:
        """Check that the bucket exists and can be read."""
        self._wire.ask(Request("GET", bucket, query=[("list-type", "2"), ("max-keys", "1")]))

    def close(self) -> None:
        self._wire.close()

    def _put_in_parts(self, bucket: str, key: str, fd: int, size: int) -> None:
        upload_id = text(self._wire.ask(Request("POST", bucket, key, query=[("uploads", "")]))[0], "UploadId")

        def send(number: int, part: FilePart) -> str:
            query = [("partNumber", str(number)), ("uploadId", upload_id)]
            return self._wire.ask(Request("PUT", bucket, key, query, part, part.sha256()))[1]

        try:
            self._complete(bucket, key, upload_id, PartsUpload(fd, size, send).run())
        except BaseException:
            with suppress(S3Refused, FilesUnavailable):  # the keeper removes leftovers
                self.abort(bucket, key, upload_id)
            raise

    def _complete(self, bucket: str, key: str, upload_id: str, tags: Sequence[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1)
        )
        root = 'CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        body = f"<{root}>{parts}</CompleteMultipartUpload>".encode()
        request = Request("POST", bucket, key, [("uploadId", upload_id)], body, hashlib.sha256(body).hexdigest())
        answer, _ = self._wire.ask(request)
        if name(answer) == "Error":  # the storage may send the status before it finds the error
            raise FilesUnavailable(f"the object storage answers {text(answer, 'Code')}")


def _all(answer: ElementTree.Element, wanted: str) -> list[ElementTree.Element]:
    return [each for each in answer.iter() if name(each) == wanted]


def _time(stamp: str) -> float:
    """Return the time of a listing; infinity, which is never old, if it has none."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return float("inf")
