"""A client of S3-compatible object storage: the requests that files need. How one is sent, s3_wire.py knows; which objects are whose, bucket.py."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote
from xml.etree import ElementTree

from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files.s3_wire import FilePart, ObjectStream, Request, S3Refused, S3Wire, name, text

PART_BYTES = 8 << 20
"""A file that is longer is sent in parts of this size, or of a larger one where they would be too many."""
PARTS_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Listed:
    """One object, or upload in parts that has not ended, and when it was written (begun): seconds since 1970."""

    key: str
    at: float
    upload_id: str = ""


class S3Client:
    """Every method raises S3Refused where the storage says no, and FilesUnavailable where it is away."""

    def __init__(self, section: FilesSection) -> None:
        self._wire = S3Wire(section)

    def put(self, bucket: str, key: str, fd: int, size: int, sha256: str) -> None:
        """Store an open file; it is there when it is whole."""
        if size <= PART_BYTES:
            self._wire.ask(Request("PUT", bucket, key, body=FilePart(fd, 0, size), sha256=sha256))
        else:
            self._put_in_parts(bucket, key, fd, size)

    def open(self, bucket: str, key: str, start: int = 0, end: int | None = None) -> ObjectStream:
        """Begin to read an object, or the part of it from `start` to before `end`."""
        part = f"bytes={start}-{'' if end is None else end - 1}" if start or end is not None else ""
        return self._wire.open(Request("GET", bucket, key, part=part))

    def delete(self, bucket: str, key: str) -> None:
        """One that is not there is deleted already."""
        self._wire.ask(Request("DELETE", bucket, key))

    def objects(self, bucket: str, prefix: str, after: str, limit: int) -> list[Listed]:
        """List objects in the order of their keys, from behind `after` on."""
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix), ("max-keys", str(limit))]
        answer = self._wire.ask(Request("GET", bucket, query=[*query, ("start-after", after)] if after else query))[0]
        return [
            Listed(unquote(text(each, "Key")), _time(text(each, "LastModified"))) for each in _all(answer, "Contents")
        ]

    def unended(self, bucket: str, prefix: str, limit: int) -> list[Listed]:
        """List uploads in parts that nobody has brought to an end."""
        query = [("uploads", ""), ("encoding-type", "url"), ("prefix", prefix), ("max-uploads", str(limit))]
        answer = self._wire.ask(Request("GET", bucket, query=query))[0]
        return [
            Listed(unquote(text(each, "Key")), _time(text(each, "Initiated")), text(each, "UploadId"))
            for each in _all(answer, "Upload")
        ]

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Drop an upload in parts."""
        self._wire.ask(Request("DELETE", bucket, key, query=[("uploadId", upload_id)]))

    def look(self, bucket: str) -> None:
        """See whether the bucket is there and ours to read."""
        self._wire.ask(Request("GET", bucket, query=[("list-type", "2"), ("max-keys", "1")]))

    def close(self) -> None:
        self._wire.close()

    def _put_in_parts(self, bucket: str, key: str, fd: int, size: int) -> None:
        upload_id = text(self._wire.ask(Request("POST", bucket, key, query=[("uploads", "")]))[0], "UploadId")
        part_bytes = max(PART_BYTES, -(-size // PARTS_LIMIT))
        tags = []
        try:
            for number, start in enumerate(range(0, size, part_bytes), 1):
                part = FilePart(fd, start, min(part_bytes, size - start))
                query = [("partNumber", str(number)), ("uploadId", upload_id)]
                tags.append(self._wire.ask(Request("PUT", bucket, key, query, part, part.sha256()))[1])
            self._complete(bucket, key, upload_id, tags)
        except BaseException:
            with suppress(S3Refused, FilesUnavailable):  # a keeper drops what is left
                self.abort(bucket, key, upload_id)
            raise

    def _complete(self, bucket: str, key: str, upload_id: str, tags: Sequence[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1)
        )
        body = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{parts}</CompleteMultipartUpload>'.encode()
        request = Request("POST", bucket, key, [("uploadId", upload_id)], body, hashlib.sha256(body).hexdigest())
        answer, _ = self._wire.ask(request)
        if name(answer) == "Error":  # the status had been sent before it turned out
            raise FilesUnavailable(f"the object storage answers {text(answer, 'Code')}")


def _all(answer: ElementTree.Element, wanted: str) -> list[ElementTree.Element]:
    return [each for each in answer.iter() if name(each) == wanted]


def _time(said: str) -> float:
    """Return the time that a listing says, and one that is never old where it says none."""
    try:
        return datetime.fromisoformat(said).timestamp()
    except ValueError:
        return float("inf")
