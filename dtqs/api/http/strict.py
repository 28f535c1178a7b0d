"""Reads JSON and refuses values that orjson accepts and the store must not hold; pure.

These are repeated keys, NUL in text, and numbers that would change. Quick tests on the bytes find bodies that may hold
one; only such a body is read a second time, slowly and exactly.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import falcon
import orjson

from dtqs.errors import Invalid, Problem
from dtqs.json_value import DEPTH_LIMIT, is_carried, shown_key

INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 64) - 1
_PROBLEMS_LIMIT = 100
_DIGITS = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_LONG_NUMBER = b"0" * 19
_BEYOND = INTEGER_MAX + 1
_DECIMALS = bytes(48 if 48 <= byte <= 57 or byte == 46 else 32 for byte in range(256))
_LONG_DECIMAL = b"0" * 16
"""A float carries all numbers of 15 digits. A point counts as a digit here, since 16 digits may have none: 16e-15."""
_DECIMAL = re.compile(rb"[0-9.]{%d,}(?:[eE][+-]?[0-9]+)?" % len(_LONG_DECIMAL))
_SMALL = re.compile(rb"[eE]-[0-9]{3}")
_NEGATIVE_ZERO = re.compile(rb"-0(?=[\],}\s]|\Z)")


class TooDear(Exception):
    """The examination would hold the API's loop for too long. The process beside it takes over."""


def decode(body: bytes, slow_bytes: int | None = None) -> tuple[Any, list[Problem]]:
    """Return the value, and the problems of parts that must not be stored.

    Raises HTTPBadRequest for invalid JSON, Invalid for too deep nesting, TooDear for a body above `slow_bytes` that
    needs the second reading.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise falcon.HTTPBadRequest(description=f"the body is not valid JSON: {error}"[:500]) from None
    if _is_plain(body, value):
        return value, []
    if slow_bytes is not None and len(body) > slow_bytes:
        raise TooDear
    return value, _problems(body)


def _problems(body: bytes) -> list[Problem]:
    try:
        return list(islice(_faults("", _read_slowly(body)), _PROBLEMS_LIMIT))
    except RecursionError:  # only a value under a repeated key can be nested so deep
        raise _too_deep() from None


def _is_plain(body: bytes, value: Any) -> bool:
    """Tell whether the body certainly holds no such value.

    orjson drops all but one pair of a repeated key, so the value written again has fewer colons than the body, unless a
    colon is written as an escape.
    """
    try:
        again = orjson.dumps([[[[value]]]])
    except orjson.JSONEncodeError:
        raise _too_deep() from None
    if b"-0" in body and _NEGATIVE_ZERO.search(body):
        return False
    is_plain = (
        body.count(b":") == again.count(b":") and b"\\u00" not in body and _LONG_NUMBER not in body.translate(_DIGITS)
    )
    return is_plain and _keeps_decimals(body)


def _keeps_decimals(body: bytes) -> bool:
    """Tell whether no decimal number can have changed: one with many digits, or close to zero. Text counts as well."""
    if (b"e-" in body or b"E-" in body) and _SMALL.search(body):
        return False
    if _LONG_DECIMAL not in body.translate(_DECIMALS):
        return True
    return all(map(_is_kept, map(bytes.decode, _DECIMAL.findall(body))))


def _is_kept(text: str) -> bool:
    """Tell whether a float carries this decimal number. Other tests cover whole numbers, and two points are text."""
    return text.isdigit() or text.count(".") > 1 or is_carried(text)


def _too_deep() -> Invalid:
    return Invalid([Problem("body", f"nested more than {DEPTH_LIMIT} levels deep")])


class _Object(dict[str, Any]):
    """A JSON object that remembers its repeated keys."""

    doubled: frozenset[str] = frozenset()


def _read_slowly(body: bytes) -> Any:
    return json.loads(body, object_pairs_hook=_object, parse_int=_whole, parse_float=_decimal)


class _Changed:
    """Stands for a decimal number that a 64-bit float cannot carry."""


class _NegativeZero:
    """Stands for the whole number -0, which would lose its sign."""


def _whole(text: str) -> int | _NegativeZero:
    if text == "-0":
        return _NegativeZero()
    return int(text) if len(text) <= 20 else _BEYOND  # converting thousands of digits would take long


def _decimal(text: str) -> float | _Changed:
    return float(text) if is_carried(text) else _Changed()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) < len(pairs):
        made.doubled = frozenset(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return made


def _faults(where: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, _Object):
        for name, member in value.items():
            yield from _member_faults(f"{where}.{shown_key(name)}".lstrip("."), name, name in value.doubled, member)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _faults(f"{where}[{index}]", member)
    elif isinstance(value, str):
        if "\0" in value:
            yield Problem(where or "body", "text without NUL characters is allowed")
    elif isinstance(value, _Changed):
        yield Problem(
            where or "body",
            "has more digits than a 64-bit float carries, or is too close to zero; send such a number as text",
        )
    elif isinstance(value, _NegativeZero):
        yield Problem(where or "body", "-0 would become 0; send 0, or -0.0")
    elif isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
        yield Problem(where or "body", f"whole numbers from {INTEGER_MIN} to {INTEGER_MAX} are allowed")


def _member_faults(where: str, name: str, doubled: bool, member: Any) -> Iterator[Problem]:
    if doubled:
        yield Problem(where, "the key is there more than once")
    if "\0" in name:
        yield Problem(where, "keys without NUL characters are allowed")
    yield from _faults(where, member)
