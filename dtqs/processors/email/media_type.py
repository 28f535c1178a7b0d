"""The media type of an attachment, with the parameters that mail programs read (RFC 2045, 5.1); pure."""

import re
from codecs import getincrementaldecoder
from dataclasses import dataclass

CHARACTERS = 300
PATTERN = r'^[A-Za-z]+/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*( *; *[A-Za-z]+=("[^"\\]*"|[A-Za-z0-9_.:+-]+))*$'
"""For the OpenAPI document; `parse` checks more."""
_ALLOWED = "allowed: such as application/pdf, text/csv; charset=utf-8 or text/calendar; method=REQUEST"
_TYPE = re.compile(r"([A-Za-z]+)/([A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*)")
_PARAMETER = re.compile(r' *; *([A-Za-z]+)=(?:"([ !#-\[\]-~]*)"|([A-Za-z0-9_.:+-]+))')
_VALUES = {
    "charset": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,39}"),
    "method": re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}"),
    # no encoded word: the library decodes it, and it may hold a line end
    "name": re.compile(r"(?:[^/=]|=(?!\?)){1,100}"),
}
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type such as text/calendar, and its parameters by their lower-case names."""

    main: str
    sub: str
    parameters: dict[str, str]


def parse(text: str) -> MediaType:
    """Parse a media type. Raises ValueError, which says what is allowed."""
    kind = _TYPE.match(text)
    if kind is None:
        raise ValueError(f"not a media type; {_ALLOWED}")
    parameters, at = dict[str, str](), kind.end()
    while at < len(text):
        found = _PARAMETER.match(text, at)
        if found is None:
            raise ValueError(f"not a media type with parameters; {_ALLOWED}")
        name, value, at = found[1].lower(), found[2] if found[3] is None else found[3], found.end()
        if name not in _VALUES:
            raise ValueError(f"the parameter {name:.40} is not allowed; allowed: {', '.join(_VALUES)}")
        if name in parameters or not _VALUES[name].fullmatch(value):
            raise ValueError(f"the parameter {name} is given twice, or its value is not valid; {_ALLOWED}")
        parameters[name] = value
    return MediaType(kind[1].lower(), kind[2], parameters)


def check(text: str) -> str:
    """Return the text unchanged, for a payload's field. Raises ValueError."""
    parse(text)
    return text


def charset_of(data: bytes) -> str | None:
    """Return the encoding of a text if it is certain; without one, readers take it for ASCII or guess."""
    if b"\x1b" in data:
        return None  # such as ISO-2022-JP, whose bytes are all ASCII
    if data.isascii():
        return "us-ascii"
    decoder = getincrementaldecoder("utf-8")()
    try:
        # in pieces: the text of a whole file may take four times its bytes
        for at in range(0, len(data), _PIECE_BYTES):
            decoder.decode(data[at : at + _PIECE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    return "utf-8"
