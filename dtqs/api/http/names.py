"""File names, to and from headers; pure. They are for people only: none becomes a path."""

import re
from urllib.parse import quote, unquote

from dtqs.one_line import NOT_IN_NAMES

NAME_LIMIT = 200
DEFAULT_NAME = "file"
INLINE = re.compile(r"image/(jpeg|png|gif|webp|avif|tiff|bmp)|video/[\w.+-]+|audio/[\w.+-]+|text/plain")
"""Media types that a browser may show, because it runs none of them. It saves all others."""

_EXTENDED = re.compile(r"filename\*\s*=\s*UTF-8'[\w-]*'([^;]+)", re.IGNORECASE)
_PLAIN = re.compile(r"filename\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;\s]+))", re.IGNORECASE)


def safe_name(name: str | None) -> str:
    """Return the last part of a name, without control characters, and at most 200 characters of it."""
    last = re.split(r"[/\\]", name or "")[-1]
    return NOT_IN_NAMES.sub("", last).strip(" .")[:NAME_LIMIT] or DEFAULT_NAME


def name_of(disposition: str | None) -> str | None:
    """Return the file name in a Content-Disposition header (RFC 6266), percent-encoded or in plain UTF-8."""
    if match := _EXTENDED.search(disposition or ""):
        return unquote(match[1].strip())
    if match := _PLAIN.search(disposition or ""):
        return _from_bytes(re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2])
    return None


def _from_bytes(text: str) -> str:
    """Decode UTF-8 in a header. WSGI passes each byte as a character; text that is not UTF-8 stays."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def disposition(name: str, media_type: str) -> str:
    """Return a Content-Disposition header for a download."""
    how = "inline" if INLINE.fullmatch(media_type) else "attachment"
    plain = re.sub(r'[^ !#-\[\]-~]|[%;"\\]', "_", name)
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
