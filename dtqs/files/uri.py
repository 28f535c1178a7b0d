"""What a source URI may look like: `upload:ID` or `file:/path`. Whether it may be opened is FileSpace's question."""

from dataclasses import dataclass
from urllib.parse import unquote

from dtqs.uuid7 import is_uuid

SCHEMES = ("upload", "file")
URI_CHARACTERS = 2048
ALLOWED = "upload:ID or file:/path"


@dataclass(frozen=True, slots=True)
class SourceUri:
    """A source taken apart: `rest` is the id of an upload, or the decoded absolute path of a file."""

    scheme: str
    rest: str


def parse(uri: str) -> SourceUri:
    """Take a source URI apart. Raises ValueError, which says what is allowed."""
    scheme, colon, rest = uri.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in SCHEMES:
        raise ValueError(f"no source that is known here; allowed: {ALLOWED}")
    if len(uri) > URI_CHARACTERS or not uri.isprintable():
        raise ValueError(f"at most {URI_CHARACTERS} printable characters are allowed")
    return SourceUri(scheme, _upload_id(rest) if scheme == "upload" else _path(rest))


def check(uri: str) -> str:
    """Return the URI as it is, for a payload's field. Raises ValueError."""
    parse(uri)
    return uri


def _upload_id(rest: str) -> str:
    if not is_uuid(rest):
        raise ValueError("allowed after upload: is the id of a file, a UUID in lower case")
    return rest


def _path(rest: str) -> str:
    if rest.startswith("//"):
        host, _, tail = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise ValueError(f"a file on another host ({host}) cannot be read; allowed: file:/path or file:///path")
        rest = f"/{tail}"
    path = unquote(rest, errors="surrogateescape")
    if not path.startswith("/") or "\0" in path:
        raise ValueError("allowed after file: is an absolute path")
    return path
