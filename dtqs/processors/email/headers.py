"""Writes header fields: folded, encoded where necessary, and each exactly one field; pure.

The standard library's folding of address lists lost quotes and commas in more than one release.
This code is small, and its tests parse the result back.
"""

import re
from collections.abc import Sequence
from email.header import Header
from urllib.parse import quote

from dtqs.processors.email.addresses import Address, refuse_controls

LINE_CHARACTERS = 76
WORD_BYTES = 900
"""A longer word or run of spaces cannot be folded below the 998 octets of a line (RFC 5322), so it is encoded."""
_NAME_BYTES = 200
"""A longer name is encoded as well: it cannot be folded away from its address."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,75}")
LINE_BYTES = 998
_ANGLED = re.compile(r"list-.*|references|.*-to|.*-message-id")
"""Headers whose ids, URIs and addresses stand in `<` and `>`. Readers decode nothing there."""
_FILENAME_CHARACTERS = 45
_PLAIN_FILENAME = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")


def text_field(name: str, value: str, utf8: bool = False) -> str:
    """Write a header of free text, with its line end; `utf8` disables encoding. Raises ValueError on a line end."""
    refuse_controls(value)
    value = value.strip(" ")
    if (utf8 or value.isascii()) and "=?" not in value and not _is_too_long(value):
        return _folded(name, value.split(" "), " ")
    return f"{name}: {_encoded(value, len(name) + 2)}\r\n"


def header_field(name: str, value: str, utf8: bool = False) -> str:
    """Write a header of the task's own, with its line end. Raises ValueError if its value cannot be written."""
    if not _ANGLED.fullmatch(name.lower()) or "<" not in value:
        return text_field(name, value, utf8)
    refuse_controls(value)
    limit = LINE_BYTES - len(f"{name}: ,")
    parts = re.split(r"(<[^<>]*>)", re.sub(" +", " ", value))
    for part in parts[1::2]:
        if not part.isascii() or len(part) > limit:
            raise ValueError(f"between < and > at most {limit - 2} ASCII characters are allowed")
    # a list is folded at its spaces
    beside = [_beside_angles(part, utf8).strip(" ") for part in parts[::2]]
    parts[::2] = [f"{each} " if each.startswith(",") else f" {each} " for each in beside]
    return _folded(name, [word for word in "".join(parts).split(" ") if word], " ")


def _beside_angles(text: str, utf8: bool) -> str:
    """Encode a name or comment where that is necessary, without its commas, quotes and brackets."""
    core = text.strip(' ,"')
    if core.startswith("(") and core.find(")") == len(core) - 1:
        core = core[1:-1]  # a comment alone
    if (utf8 or text.isascii()) and "=?" not in text and not _is_too_long(text):
        return text
    before, core, after = text.partition(core or text)
    return f"{before}{_encoded(core, 0, '')}{after}".replace('"', "")


def disposition(kind: str, filename: str) -> str:
    """Return the value of Content-Disposition. The name is percent-encoded unless all readers leave it as it is.

    Readers decode `=?` also where RFC 2047 forbids that. They decode each section of a long name for itself.
    """
    refuse_controls(filename)
    if len(filename) <= _FILENAME_CHARACTERS and _PLAIN_FILENAME.fullmatch(filename) and "=?" not in filename:
        return f'{kind}; filename="{filename}"'
    sections = [""]
    for encoded in (quote(character, safe="") for character in filename):
        if len(sections[-1]) + len(encoded) > _FILENAME_CHARACTERS:
            sections.append("")
        sections[-1] += encoded
    if len(sections) == 1:
        return f"{kind};\r\n filename*=utf-8''{sections[0]}"
    sections[0] = f"utf-8''{sections[0]}"
    return ";\r\n ".join([kind, *(f"filename*{at}*={section}" for at, section in enumerate(sections))])


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


def _encoded(text: str, indent: int, line_end: str = "\r\n") -> str:
    """Return the text as encoded words, one a line; `indent` characters precede it on its first line."""
    header = Header(text, "utf-8", maxlinelen=LINE_CHARACTERS, header_name="x" * max(0, indent - 2))
    return header.encode(linesep=line_end)


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
