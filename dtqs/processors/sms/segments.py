"""Cuts a text into segments: GSM-7 with its extension table, or UCS-2; pure (3GPP TS 23.038 and 23.040)."""

from dataclasses import dataclass
from typing import Literal

Encoding = Literal["GSM-7", "UCS-2"]
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE = 0x1B
_EXTENSION = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
_SEPTETS = {char: bytes((code,)) for code, char in enumerate(_BASIC) if code != _ESCAPE} | {
    char: bytes((_ESCAPE, code)) for char, code in _EXTENSION.items()
}
_SINGLE = {"GSM-7": 160, "UCS-2": 70}
_PART = {"GSM-7": 153, "UCS-2": 67}
"""Units left in a segment after the six octets of its part header."""


@dataclass(frozen=True, slots=True)
class TextSegments:
    """A text as it is sent. The parts in order are the whole text; `units` are septets or UTF-16 code units."""

    encoding: Encoding
    parts: tuple[str, ...]
    units: int

    @property
    def count(self) -> int:
        return len(self.parts)


def segment(text: str) -> TextSegments:
    """Cut a text into as few segments as possible, without splitting a character."""
    encoding: Encoding = "UCS-2" if beyond_gsm(text) else "GSM-7"
    sizes = [len(_SEPTETS[char]) for char in text] if encoding == "GSM-7" else [1 + (char > "\uffff") for char in text]
    units = sum(sizes)
    parts = (text,) if units <= _SINGLE[encoding] else _cut(text, sizes, _PART[encoding])
    return TextSegments(encoding, parts, units)


def beyond_gsm(text: str) -> list[str]:
    """Return the distinct characters that GSM-7 lacks. Any one of them makes all segments UCS-2."""
    return [char for char in dict.fromkeys(text) if char not in _SEPTETS]


def encode(part: str, encoding: Encoding) -> bytes:
    """Return a part's octets: one septet per octet, as SMPP expects, or UTF-16 in network order."""
    return b"".join(_SEPTETS[char] for char in part) if encoding == "GSM-7" else part.encode("utf-16-be")


def _cut(text: str, sizes: list[int], limit: int) -> tuple[str, ...]:
    parts, start, filled = [], 0, 0
    for index, size in enumerate(sizes):
        if filled + size > limit:
            parts.append(text[start:index])
            start, filled = index, 0
        filled += size
    return (*parts, text[start:])
