"""POST /files: an upload, raw or as the only file of a form, written in pieces.

It exists once it is complete and durable and has its row.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import falcon
from falcon.media.multipart import MultipartForm, MultipartParseError, MultipartParseOptions
from falcon.util.reader import BufferedReader

from dtqs.api.access.auth import Auth, Caller
from dtqs.api.files.incoming import IncomingFile
from dtqs.api.files.upload_room import UploadRoom, UploadShare
from dtqs.api.http.answer import answer
from dtqs.api.http.body import checked_length, close_connection, cut_body, pieces
from dtqs.api.http.byte_room import SMALL_BYTES, ByteRoom, ByteShare
from dtqs.api.http.disk import FileThreads
from dtqs.api.http.names import name_of, safe_name
from dtqs.api.http.query import Query
from dtqs.api.submit.task_links import Links
from dtqs.config import FilesSection
from dtqs.errors import Invalid, Problem, UploadsFull
from dtqs.files import FileSpace, TooLarge
from dtqs.store.file_rows import FileRows
from dtqs.task import OutputFile

FORM_OVERHEAD_BYTES = 64 << 10
"""Most bytes that a form may add to its file."""
_CONTENT_TYPE_CHARACTERS = 300
"""Longest Content-Type of a form. Its boundary has up to 70 characters."""
_PART_HEAD_BYTES = 2 << 10
"""Most bytes of the head of a form's part. Its file name has up to 255 characters, most of them percent-encoded."""
_PIECE_BYTES = 1 << 20


class Uploads:
    def __init__(
        self, auth: Auth, space: FileSpace, rows: FileRows, links: Links, section: FilesSection, threads: FileThreads
    ) -> None:
        self._auth, self._space, self._rows, self._links = auth, space, rows, links
        self._threads = threads
        self._max_upload_bytes, self._room = section.max_upload_bytes, UploadRoom(section.receiving_bytes)
        self._memory = ByteRoom(0, UploadsFull)
        """Room for the pieces of all uploads. Without it they are smaller, and no upload is refused."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        try:
            caller = self._auth.require(req, "submit")
            memory = self._memory.share(caller.name_space)
            try:
                upload = self._receive(req, caller, memory)
            finally:
                memory.free()
        except BaseException:
            close_connection(req)  # reading the rest of the body would waste time
            raise
        try:
            self._rows.insert(upload, caller.key_id)
        except BaseException:
            self._remove(upload.file_id)
            raise
        resp.set_header("Location", self._links.file(upload.file_id))
        document = {
            "uri": f"upload:{upload.file_id}",
            "size_bytes": upload.size_bytes,
            "sha256": upload.sha256,
            "media_type": upload.media_type,
        }
        answer(resp, document, falcon.HTTP_201)

    def _limit_bytes(self, caller: Caller) -> int:
        own = caller.ceilings.max_upload_bytes if caller.ceilings else None
        return self._max_upload_bytes if own is None else min(own, self._max_upload_bytes)

    def _receive(self, req: falcon.Request, caller: Caller, memory: ByteShare) -> OutputFile:
        """Store the body. Nothing stays if the client leaves. Raises TooLarge, HTTPError, Invalid, TransientError."""
        query, limit_bytes = Query(req, ("name",)), self._limit_bytes(caller)
        query.check()
        is_form = (req.content_type or "").partition(";")[0].strip().lower() == "multipart/form-data"
        length = checked_length(req, limit_bytes + FORM_OVERHEAD_BYTES if is_form else limit_bytes)
        with self._room.taken(length, limit_bytes, caller.name_space, lambda: cut_body(req)) as share:
            if is_form:
                return self._receive_form(req, limit_bytes, share, memory)
            name = query.first("name") or name_of(req.get_header("Content-Disposition"))
            body = pieces(req, limit_bytes, memory.piece)
            with closing(IncomingFile(self._space, self._threads)) as incoming, closing(body):
                _write(incoming, body, share)
                return _commit(incoming, safe_name(name), share)

    def _receive_form(self, req: falcon.Request, limit_bytes: int, share: UploadShare, memory: ByteShare) -> OutputFile:
        received: str | None = None
        whole = pieces(req, limit_bytes + FORM_OVERHEAD_BYTES, memory.piece)
        with closing(IncomingFile(self._space, self._threads)) as incoming, closing(whole):
            for part in _form(req, whole, limit_bytes + FORM_OVERHEAD_BYTES):
                name = _filename(part)
                if received or not name:
                    raise Invalid(
                        [Problem((part.name or "body")[:100], "a form with one file and nothing else is allowed")]
                    )
                _write(incoming, _of_part(part, memory), share)
                if incoming.size_bytes > limit_bytes:
                    raise TooLarge("upload", limit_bytes)
                received = safe_name(name)
            if received is None:
                raise Invalid([Problem("body", "a form with one file is needed")])
            return _commit(incoming, received, share)

    def _remove(self, file_id: str) -> None:
        """Remove a stored upload that gets no row. A request over the network lets others run while it waits."""
        if self._space.over_network:
            self._space.remove_new(file_id)
        else:
            self._threads.run(self._space.remove_new, file_id)


def _of_part(part: Any, memory: ByteShare) -> Iterator[bytes]:
    """Yield a form's file in pieces, like the body."""
    piece = part.stream.read(SMALL_BYTES)
    while piece:
        yield piece
        piece = part.stream.read(memory.piece(_PIECE_BYTES))


def _form(req: falcon.Request, body: Iterator[bytes], limit_bytes: int) -> Iterator[Any]:
    """Yield the parts of a form with this body as they arrive. Raises HTTPBadRequest."""
    rest = bytearray()

    def read(size: int) -> bytes:
        while len(rest) < size and (piece := next(body, b"")):
            rest.extend(piece)
        taken = bytes(rest[:size])
        del rest[:size]
        return taken

    content_type = req.content_type or ""
    # falcon reads quoted parameters in quadratic time
    _, parameters = falcon.parse_header(content_type if len(content_type) <= _CONTENT_TYPE_CHARACTERS else "")
    boundary = parameters.get("boundary", "")
    if not 0 < len(boundary) <= 70 or not boundary.isascii():
        raise falcon.HTTPBadRequest(description="the form's Content-Type has no boundary of 1 to 70 ASCII characters")
    try:
        yield from MultipartForm(BufferedReader(read, limit_bytes), boundary.encode(), None, _part_options())
    except MultipartParseError as error:
        raise falcon.HTTPBadRequest(description=f"the form cannot be read: {error.description}") from None


def _part_options() -> MultipartParseOptions:
    options = MultipartParseOptions()
    options.max_body_part_headers_size = _PART_HEAD_BYTES
    return options


def _filename(part: Any) -> str | None:
    """Return the file name of a form's part. Raises HTTPBadRequest."""
    try:
        name: str | None = part.filename
    except UnicodeDecodeError:
        raise falcon.HTTPBadRequest(
            description="the form cannot be read: its Content-Disposition is not UTF-8"
        ) from None
    return name


def _write(incoming: IncomingFile, body: Iterator[bytes], share: UploadShare) -> None:
    for piece in body:
        share.cover(incoming.size_bytes + len(piece))
        incoming.write(piece)


def _commit(incoming: IncomingFile, name: str, share: UploadShare) -> OutputFile:
    share.has_come = True
    file_id, size_bytes, sha256, media_type = incoming.commit()
    return OutputFile(file_id, name, media_type, size_bytes, sha256)
