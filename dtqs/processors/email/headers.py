"""Writes header fields: folded, encoded where necessary, and each exactly one field; pure.

The standard library's folding of address lists lost quotes and commas in more than one release.
This code is small, and its tests parse the result back.
"""

import re
from collections.abc import Sequence
from email.header import Header

from dtqs.processors.email.addresses import Address, refuse_controls

LINE_CHARACTERS = 76
WORD_BYTES = 900
"""A longer word or run of spaces cannot be folded below the 998 octets of a line (RFC 5322), so it is encoded."""
_NAME_BYTES = 200
"""A longer name is encoded as well: it cannot be folded away from its address."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,75}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")


def text_field(name: str, value: str, utf8: bool = False) -> str:
    """Write a header of free text, with its line end; `utf8` disables encoding. Raises ValueError on a line end."""
    refuse_controls(value)
    value = value.strip(" ")
    if (utf8 or value.isascii()) and "=?" not in value and not _is_too_long(value):
        return _folded(name, value.split(" "), " ")
    return f"{name}: {_encoded(value, len(name) + 2)}\r\n"


def _is_too_long(value: str) -> bool:
    """Tell whether a word or a run of spaces is too long for a line."""
    return " " * WORD_BYTES in value or any(len(word.encode()) > WORD_BYTES for word in value.split(" "))


def address_field(name: str, addresses: Sequence[Address], utf8: bool = False) -> str:
    """Write a header of addresses, with its line end."""
    return _folded(name, [_written(address, utf8) for address in addresses], ", ")


def _written(address: Address, utf8: bool) -> str:
    name = refuse_controls(address.name)
    if not name:
        return address.spec
    if not (utf8 or name.isascii()) or "=?" in name or len(name.encode()) > _NAME_BYTES:
        return f"{_encoded(name, 0)} <{address.spec}>"
    if not _PLAIN_NAME.fullmatch(name) or name != name.strip() or "  " in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'
    return f"{name} <{address.spec}>"


def _encoded(text: str, indent: int) -> str:
    """Return the text as folded encoded words; `indent` characters precede it on its first line."""
    return Header(text, "utf-8", maxlinelen=LINE_CHARACTERS, header_name="x" * max(0, indent - 2)).encode(
        linesep="\r\n"
    )


def _folded(name: str, parts: Sequence[str], separator: str) -> str:
    """Join the parts. A line ends after a separator before it gets too long; the next begins with the space."""
    pieces, length, bare = [f"{name}:"], len(name) + 1, True
    for index, part in enumerate(parts):
        piece = part + (separator.rstrip(" ") if index + 1 < len(parts) else "")
        first, _, last = piece.partition("\r\n")
        # a line of only spaces is not a continuation, so the empty parts of double spaces stay on the current line
        if not bare and piece and length + 1 + len(first) > LINE_CHARACTERS:
            pieces.append("\r\n")
            length, bare = 0, True
        pieces += (" ", piece)
        length = len(piece.rpartition("\r\n")[2]) if last else length + 1 + len(first)
        bare = bare and not piece
    return "".join([*pieces, "\r\n"])
