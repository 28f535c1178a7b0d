"""GET /files/{id}: an upload or an output, whole or a range of it. Its ETag is its SHA-256. No browser runs it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import falcon

from dtqs.api.access.auth import Auth
from dtqs.api.http.byte_room import ByteRoom, ByteShare
from dtqs.api.http.disk import FileThreads
from dtqs.api.http.names import disposition, safe_name
from dtqs.api.http.query import Query
from dtqs.errors import NotFound
from dtqs.files import FileSpace, StoredBytes
from dtqs.store.file_rows import FileRow, FileRows
from dtqs.uuid7 import is_uuid

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
_PIECE_BYTES, _FIRST_BYTES = 1 << 20, 256 << 10
"""Sizes of a piece, and of the first one, which is read when the file is opened: a short file takes one step."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "private, no-cache, no-transform",
    "Accept-Ranges": "bytes",
}


class Downloads:
    def __init__(self, auth: Auth, space: FileSpace, rows: FileRows, answers: ByteRoom, threads: FileThreads) -> None:
        self._auth, self._space, self._rows, self._answers, self._threads = auth, space, rows, answers, threads

    def on_get(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        caller = self._auth.require(req, "read")
        query = Query(req, ("name",))
        name = query.text("name")
        query.check()
        row = self._row(file_id.lower(), caller.owner)
        etag = f'"{row.sha256}"'
        shown = disposition(safe_name(name) if name else row.name, row.media_type)
        is_known = _names(req.get_header("If-None-Match"), etag)
        part = None if is_known else _part(req, row.size_bytes, etag)
        if part is None and not is_known:
            raise falcon.HTTPRangeNotSatisfiable(row.size_bytes)
        # headers of the file are set when nothing can fail any more: a problem document must not have its ETag
        if part is not None and req.method == "GET":
            resp.stream = self._begin(row, part, self._answers.share(caller.name_space))
        resp.set_headers(_HEADERS | {"ETag": etag, "Content-Disposition": shown})
        if part is None:
            resp.status = falcon.HTTP_304
            return
        resp.content_type, resp.content_length = row.media_type, part.length
        if part.is_partial:
            resp.status = falcon.HTTP_206
            resp.set_header("Content-Range", f"bytes {part.start}-{part.start + part.length - 1}/{row.size_bytes}")

    on_head = on_get

    def _row(self, file_id: str, owner: str | None) -> FileRow:
        if not is_uuid(file_id):
            raise NotFound("file", file_id[:100])
        return self._rows.get(file_id, owner)

    def _begin(self, row: FileRow, part: "ByteRange", share: ByteShare) -> "Pieces":
        """Open the file and read its first piece. Raises NotFound, FilesUnavailable."""
        try:
            size, end = share.piece(min(_FIRST_BYTES, part.length)), part.start + part.length
            stored, first = self._threads.run(self._open, row.file_id, part.start, end, size, undo=_close)
            stored = stored or self._space.bucket_reader(row.file_id, part.start, end)
            return Pieces(stored, part.length, share, self._threads, first)
        except BaseException:
            share.free()
            raise

    def _open(self, file_id: str, start: int, end: int, size: int) -> "tuple[StoredBytes | None, bytes]":
        """Open a file in the folder and read its first piece. A thread does it: the disk may not answer."""
        stored = self._space.disk_reader(file_id, start, end)
        return (None, b"") if stored is None else (stored, _read(stored, size, end - start))


@dataclass(frozen=True, slots=True)
class ByteRange:
    start: int
    length: int
    is_partial: bool


class Pieces:
    """The bytes of a part of a stored file. `close` closes the file, and frees `share`, the room of one piece.

    Without room the pieces are small, so no download is refused for its slow client.
    """

    def __init__(
        self, stored: StoredBytes, length: int, share: ByteShare, threads: FileThreads, first: bytes = b""
    ) -> None:
        """`first` was read from the file already."""
        self._stored, self._left, self._share, self._threads = stored, length, share, threads
        self._first, self._is_open = first, len(first) < length or stored.over_network
        self._piece_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece, self._first = self._first, b""
        if not piece:
            piece = self._next()
        self._left -= len(piece)
        return piece

    def _next(self) -> bytes:
        self._piece_bytes = self._piece_bytes or self._share.piece(min(_PIECE_BYTES, self._left))
        size = min(self._piece_bytes, self._left)
        if size <= 0:
            raise StopIteration
        # a read over the network lets other requests run while it waits
        if self._stored.over_network:
            piece = self._stored.read(size)
        else:
            piece = self._threads.run(_read, self._stored, size, self._left)
            self._is_open = len(piece) < self._left
        if not piece:
            # cuts the connection: a short answer must not look complete
            raise OSError("the stored file is shorter than its row says")
        return piece

    def close(self) -> None:
        """Close the file. The server calls it however the answer ends. Safe to call twice."""
        self._share.free()
        if self._stored.over_network:
            self._stored.close()
        elif self._is_open:
            self._is_open = False
            self._threads.later(self._stored.close)


def _read(stored: StoredBytes, size: int, left: int) -> bytes:
    """Read a piece in a thread. The last one closes the file, since that may wait for a network disk, too."""
    piece = stored.read(size)
    if len(piece) >= left:
        stored.close()
    return piece


def _close(opened: tuple[StoredBytes | None, bytes]) -> None:
    stored, _ = opened
    if stored is not None:
        stored.close()


def _part(req: falcon.Request, size: int, etag: str) -> ByteRange | None:
    """Return the requested range, or None if it lies outside the file.

    Several ranges, or one of another version of the file, mean the whole file. Only a GET has a range (RFC 9110, 14.2).
    """
    match = _RANGE.fullmatch(req.get_header("Range") or "") if req.method == "GET" else None
    condition = req.get_header("If-Range")
    if not match or match[0] == "bytes=-" or (condition is not None and condition != etag):
        return ByteRange(0, size, False)
    if not match[1]:
        length = min(int(match[2]), size)
        return ByteRange(size - length, length, True) if length else None
    start, end = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
    if match[2] and int(match[2]) < start:
        return ByteRange(0, size, False)  # an invalid range is ignored
    return ByteRange(start, end - start + 1, True) if start < size else None


def _names(header: str | None, etag: str) -> bool:
    return header is not None and (
        header.strip() == "*" or etag in [one.strip().removeprefix("W/") for one in header.split(",")]
    )
