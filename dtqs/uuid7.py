"""Ids that sort by time (UUID version 7, RFC 9562), as text: 48 bits of milliseconds, 74 random bits."""

import os
import re
import time

_PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid7() -> str:
    """Return a new id in its canonical lower-case form.

    It is text: a UUID object would cost a worker more than all its other work on a tiny task.
    """
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def first_uuid7(at: float) -> str:
    """Return the lowest id of a time (seconds since 1970). All ids made before that time are lower.

    A time before 1970 gives the id of 1970: no id is lower.
    """
    text = f"{max(0, int(at * 1000)) << 80 | 0x7 << 76 | 0x2 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def made_at(text: str) -> float:
    """Return the time in an id, in seconds since 1970; 0 if it is a UUID of another version, which has no time."""
    return int(text[:8] + text[9:13], 16) / 1000 if text[14] == "7" else 0.0


def is_uuid(text: str) -> bool:
    """Tell whether the text is a UUID of any version in its canonical lower-case form."""
    return _PATTERN.fullmatch(text) is not None
