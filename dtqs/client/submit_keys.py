"""Idempotency keys of submits: the caller's own, or new ones."""

import hashlib
import re

from dtqs.errors import RequestError
from dtqs.uuid7 import uuid7

KEY_LIMIT = 255
"""Most characters of an idempotency key."""
_KEY_CHARACTERS = re.compile(r"[!-~]+")


def submit_key(given: str | None) -> str:
    """Return the caller's idempotency key, or a new one."""
    return f"dtqs-{uuid7()}" if given is None else given


def part_key(key: str, start: int) -> str:
    """Return the idempotency key of the array that begins at this task. A long key gives way to its hash."""
    if start == 0 or len(key) > KEY_LIMIT:
        return key
    own = f"{key}-{start}"
    return own if len(own) <= KEY_LIMIT else f"dtqs-{hashlib.sha256(own.encode()).hexdigest()}"


def submit_headers(idempotency_key: str) -> dict[str, str]:
    """Return the headers of a submit. Raises RequestError for a key that the API refuses or no header carries."""
    if not (0 < len(idempotency_key) <= KEY_LIMIT and _KEY_CHARACTERS.fullmatch(idempotency_key)):
        raise RequestError(
            f"the idempotency key {idempotency_key[:60]!r} is refused; "
            f"allowed: 1 to {KEY_LIMIT} printable ASCII characters without spaces"
        )
    return {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
