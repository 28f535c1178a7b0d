"""JSON as RFC 8259 means it: what orjson lets pass and must not be stored (double keys, NUL in text, whole numbers beyond 64 bits) is refused; pure.

Quick tests on the bytes tell whether there can be anything of it; only then the body is read again, slowly and exactly.
"""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import falcon
import orjson

from dtqs.errors import Invalid, Problem

DEPTH_LIMIT = 250
"""orjson writes 254 levels; answers put up to four around a payload."""
INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 64) - 1
_PROBLEMS_LIMIT = 100
_DIGITS = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_LONG_NUMBER = b"0" * 19
_BEYOND = INTEGER_MAX + 1


def decode(body: bytes) -> tuple[Any, list[Problem]]:
    """Return the value, and what is in it that must not be stored. Raises HTTPBadRequest for what is no JSON, Invalid for what is nested too deep."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise falcon.HTTPBadRequest(description=f"the body is not valid JSON: {error}"[:500]) from None
    return value, [] if _is_plain(body, value) else list(islice(_faults("", _read_slowly(body)), _PROBLEMS_LIMIT))


def _is_plain(body: bytes, value: Any) -> bool:
    """Tell whether it certainly holds nothing of the above.

    A pair that was dropped for its double key took its colon with it, so the count of colons differs from that of the
    value written again, unless one is written as an escape.
    """
    try:
        again = orjson.dumps([[[[value]]]])
    except orjson.JSONEncodeError:
        raise Invalid([Problem("body", f"nested more than {DEPTH_LIMIT} levels deep")]) from None
    return body.count(b":") == again.count(b":") and b"\\u00" not in body and _LONG_NUMBER not in body.translate(_DIGITS)


class _Object(dict[str, Any]):
    """A JSON object that remembers which keys were written more than once."""

    doubled: frozenset[str] = frozenset()


def _read_slowly(body: bytes) -> Any:
    # digits by the thousand are not worth converting
    return json.loads(body, object_pairs_hook=_object, parse_int=lambda text: int(text) if len(text) <= 20 else _BEYOND)


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) < len(pairs):
        made.doubled = frozenset(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return made


def _faults(where: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, _Object):
        for name, member in value.items():
            yield from _member_faults(f"{where}.{shown(name)}".lstrip("."), name, name in value.doubled, member)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _faults(f"{where}[{index}]", member)
    elif isinstance(value, str):
        if "\0" in value:
            yield Problem(where or "body", "text without NUL characters is allowed")
    elif isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
        yield Problem(where or "body", f"whole numbers from {INTEGER_MIN} to {INTEGER_MAX} are allowed")


def _member_faults(where: str, name: str, doubled: bool, member: Any) -> Iterator[Problem]:
    if doubled:
        yield Problem(where, "the key is there more than once")
    if "\0" in name:
        yield Problem(where, "keys without NUL characters are allowed")
    yield from _faults(where, member)


def shown(name: str) -> str:
    """Return a key as it is named in a problem: short, and without what cannot be printed."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:100])
