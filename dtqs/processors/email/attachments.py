"""Reads the attachments of an e-mail, within its size limit, and finds their filenames and media types."""

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from dtqs.errors import PermanentError
from dtqs.files.uri import parse
from dtqs.guessed_type import guessed_type, usual_ending
from dtqs.one_line import NOT_IN_NAMES
from dtqs.processors.base import Context
from dtqs.processors.email.message import File
from dtqs.processors.email.payload import FILENAME_CHARACTERS, Attachment
from dtqs.sniff import sniff

HEAD_BYTES = 4096


def read_files(attachments: Sequence[Attachment], context: Context, limit_bytes: int) -> list[File]:
    """Return the attachments with their bytes.

    Raises InputRefused, TransientError, or PermanentError if they exceed the limit.
    """
    files, left = [], limit_bytes
    for number, attachment in enumerate(attachments, 1):
        with context.open_input(attachment.source) as source:
            data = source.read(left + 1)
        left -= len(data)
        if left < 0:
            raise PermanentError(f"with attachment {number} the e-mail exceeds the allowed {limit_bytes} bytes")
        files.append(_file(attachment, number, data))
    return files


def _file(attachment: Attachment, number: int, data: bytes) -> File:
    filename = attachment.filename or _name_in(attachment.source)
    sniffed = sniff(data[:HEAD_BYTES])
    media_type = attachment.content_type or guessed_type(filename) or sniffed
    if not filename:
        filename = f"attachment-{number}{usual_ending(media_type)}"
    cid = attachment.inline if isinstance(attachment.inline, str) else filename if attachment.inline else None
    return File(data, media_type, filename, cid)


def _name_in(uri: str) -> str:
    """Return the last part of the source's path if it can be a filename; empty for an upload's id."""
    source = parse(uri)
    # an s3: key is literal, and the path of a file: URI is decoded already
    path = unquote(urlsplit(source.rest).path) if source.scheme in ("http", "https") else source.rest
    name = path.rpartition("/")[2]
    usable = (
        source.scheme != "upload"
        and not NOT_IN_NAMES.search(name)
        and name.strip(". ")
        and "\\" not in name
        and len(name) <= FILENAME_CHARACTERS
    )
    return name if usable else ""
