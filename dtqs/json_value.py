"""JSON that may be stored: one set of limits for payloads, results, log data and progress.

A value is stored unchanged or refused when it arrives. Readers also cope with values beyond the limits: an earlier
version of DTQS, or a person with psql, may have stored them.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any

import orjson

from dtqs.errors import ValueRefused

DEPTH_LIMIT = 250
"""orjson writes 254 levels at most; a response adds up to four around a stored value."""
RESULT_LIMIT = 16 << 20
"""Characters of JSON in a result."""
LOG_LIMIT = 1 << 20
"""Characters of JSON in the data of one log row, and of its message."""
_MOST_DIGITS = 800
"""No 64-bit float has more significant digits in its exact decimal form."""
_LEAST_DEEP = 2 * DEPTH_LIMIT
"""Shorter JSON cannot be nested too deep."""


def json_text(name: str, value: object, limit: int = RESULT_LIMIT) -> str:
    """Return the value as JSON text. Raises ValueRefused if it cannot be stored unchanged.

    `name` is its name in messages, for example `the result`.
    """
    try:
        text = orjson.dumps(value).decode()
    except TypeError as error:
        raise ValueRefused(_too_deep(name) if _is_depth(error) else f"{name} is not JSON: {error}") from error
    if len(text) > _LEAST_DEEP:
        _refuse_large(name, value, text, limit)
    # orjson writes null for NaN and infinities, which JSON does not have
    if "null" in text:
        _refuse_odd_numbers(name, value)
    if "\\u0000" in text:
        _refuse_nul(name, orjson.loads(text))
    return text


def fits_depth(value: object) -> bool:
    """Tell whether the value is nested no deeper than `DEPTH_LIMIT`."""
    try:
        orjson.dumps([[[[value]]]])
    except TypeError:
        return False
    return True


def dumps(value: object, option: int = 0, default: Callable[[object], object] | None = None) -> bytes:
    """Write a stored value as JSON, also one that is nested too deep for orjson."""
    try:
        return orjson.dumps(value, default, option)
    except TypeError as error:
        if not _is_depth(error):
            raise
        indent = 2 if option & orjson.OPT_INDENT_2 else None
        separators = (",", ": ") if indent else (",", ":")

        def convert(inner: object) -> object:
            if isinstance(inner, orjson.Fragment):  # a large value as text, beside the one that is nested too deep
                return json.loads(orjson.dumps(inner))
            if default is None:
                raise TypeError(f"{type(inner).__name__} is no JSON")
            return default(inner)

        return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, default=convert).encode()


def loads(text: bytes | str) -> Any:
    """Read a stored value. For one that orjson cannot read, return an object with the key `unreadable`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return {"unreadable": f"this value is stored but cannot be read: {error}"[:500]}


def is_carried(text: str) -> bool:
    """Tell whether a 64-bit float can hold this decimal number.

    It can if the float, written with as many digits or in its shortest form, is the same number again.
    """
    value = float(text)
    # most programs send the shortest form; measured for 17 digits: orjson takes 0.5 µs, repr 2 µs, the rest 8 µs
    if orjson.dumps(value).decode() == text:
        return True
    mantissa = text.lower().partition("e")[0].lstrip("-").replace(".", "").strip("0")
    if not mantissa:
        return True
    if value == 0 or not isfinite(value) or len(mantissa) > _MOST_DIGITS:
        return False
    if len(mantissa) <= sys.float_info.dig and abs(value) >= sys.float_info.min:
        return True
    # the shortest form, which most languages write, may round a tie the other way
    return Decimal(text) in (Decimal(repr(value)), Decimal(f"{value:.{len(mantissa) - 1}e}"))


def _is_depth(error: TypeError) -> bool:
    """Tell whether orjson refused a value for its depth, by the text of its error."""
    return "Recursion limit" in str(error)


def _too_deep(name: str) -> str:
    return f"{name} is nested too deep; at most {DEPTH_LIMIT} levels are allowed"


def _refuse_large(name: str, value: object, text: str, limit: int) -> None:
    if len(text) > limit:
        raise ValueRefused(
            f"{name} has {len(text)} characters of JSON; at most {limit} are allowed; store large data as an output"
        )
    if text.count("[") + text.count("{") > DEPTH_LIMIT and not fits_depth(value):
        raise ValueRefused(_too_deep(name))


def _refuse_odd_numbers(name: str, value: object) -> None:
    for where, leaf in _leaves(name, value):
        if isinstance(leaf, float) and not isfinite(leaf):
            raise ValueRefused(f"{where} is {leaf}, which JSON does not have; allowed: finite numbers and null")


def _refuse_nul(name: str, value: object) -> None:
    for where, leaf in _leaves(name, value):
        if isinstance(leaf, str) and "\0" in leaf:
            raise ValueRefused(f"{where} contains a NUL character, which PostgreSQL cannot store; remove it")


def _leaves(where: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield every scalar and key of a value, each with its place, for example `the result.score[3]`."""
    left = [(where, value)]
    while left:
        place, one = left.pop()
        if isinstance(one, Enum):
            left.append((place, one.value))
        elif isinstance(one, dict):
            left += [(f"a key of {place}", key) for key in one]
            left += [(f"{place}.{key:.100}", member) for key, member in one.items()]
        elif isinstance(one, list | tuple):
            left += [(f"{place}[{index}]", member) for index, member in enumerate(one)]
        elif is_dataclass(one) and not isinstance(one, type):
            left += [(f"{place}.{field.name}", getattr(one, field.name, None)) for field in fields(one)]
        else:
            yield place, one


def shown_key(name: str) -> str:
    """Return a JSON key as messages show it: at most 100 characters, all printable."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:100])
