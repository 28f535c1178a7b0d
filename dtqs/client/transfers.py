"""Uploads and downloads. Files are read in pieces; a download has a temporary name until it is complete."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dtqs.bare_httpx import httpx
from dtqs.client.answers import foreign
from dtqs.client.errors import ApiUnavailable
from dtqs.guessed_type import guessed_type
from dtqs.whole_file import WholeFile

CHUNK_BYTES = 256 << 10
UNKNOWN_TYPE = "application/octet-stream"
Source = Path | str | bytes
"""A file's path, or its content."""


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A file to upload. `pieces` are read on demand."""

    name: str
    media_type: str
    size_bytes: int
    pieces: Iterator[bytes]


def open_source(source: Source, name: str, media_type: str, sent: Callable[[int], None]) -> OpenedSource:
    """Prepare an upload. Raises OSError."""
    if isinstance(source, bytes):
        shown, size_bytes, pieces = name or "upload", len(source), iter((source,))
    else:
        path = Path(source)
        # a name on a disk may have any bytes
        shown = name or os.fsencode(path.name).decode("utf-8", "replace")
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "only a regular file can be uploaded", str(path))
        size_bytes, pieces = found.st_size, _pieces(path, found.st_size)
    kind = media_type or guessed_type(shown) or UNKNOWN_TYPE
    return OpenedSource(shown, kind, size_bytes, _reported(pieces, sent))


def _pieces(path: Path, size_bytes: int) -> Iterator[bytes]:
    """Yield the announced bytes, also of a file that grows meanwhile. Raises OSError for one that gets shorter."""
    with path.open("rb") as file:
        left = size_bytes
        while left:
            piece = file.read(min(left, CHUNK_BYTES))
            if not piece:
                raise OSError(errno.EIO, "the file got shorter during its upload", str(path))
            left -= len(piece)
            yield piece


def _reported(pieces: Iterator[bytes], sent: Callable[[int], None]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        sent(len(piece))


def keep(response: httpx.Response, path: Path, received: Callable[[int], None]) -> Path:
    """Write a response to the file `path`, once the SHA-256 in its ETag is right.

    Raises OSError, ApiUnavailable.
    """
    if path.exists() and not path.is_file():  # a device, for example
        raise OSError(errno.EINVAL, "only a regular file can be replaced", str(path))
    expected = response.headers.get("ETag", "").strip('"')
    if not expected:
        raise foreign(response, "without the SHA-256 of the file")
    digest = hashlib.sha256()
    # not durable: the API keeps the file, and can be asked for it again
    with WholeFile(path, 0o666, durable=False) as file:
        for piece in response.iter_bytes(CHUNK_BYTES):
            digest.update(piece)
            file.write(piece)
            received(len(piece))
        if expected != digest.hexdigest():
            raise ApiUnavailable(f"{path.name} is damaged: its SHA-256 differs from the ETag of the API")
    return path
