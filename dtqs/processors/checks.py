"""Checks of the values that a processor passes to its context; pure. A wrong value fails its task, never the worker."""

import re
from collections.abc import Sequence
from decimal import Decimal
from math import isfinite, isnan
from numbers import Real
from typing import TypeGuard

from dtqs.errors import PermanentError, Problem, ValueRefused
from dtqs.event import LEVELS
from dtqs.json_value import LOG_LIMIT
from dtqs.one_line import NOT_IN_NAMES
from dtqs.task import MAX_RETRIES_LIMIT, TIMEOUT_SECONDS_LIMIT
from dtqs.turn import Turn

OUTPUT_NAME_LIMIT = 255
PROGRESS_MESSAGE_LIMIT = 10_000
RATE_KEY_LIMIT = 200
RATE_MIN, RATE_MAX, BURST_MAX = 1e-6, 1e6, 1_000_000
_MEDIA_TYPE = re.compile(
    r"[\w.+-]{1,60}/[\w.+-]{1,100}( ?; ?[\w.+-]{1,40}=([\w.+-]{1,60}|\"[\w.+ -]{1,60}\"))*", re.ASCII
)


def fraction(value: object) -> float:
    """Return the progress clamped to 0 to 1. Raises ValueRefused for anything but a number."""
    if not _is_number(value) or isnan(value):
        raise ValueRefused(f"progress: fraction = {_excerpt(value)}; allowed is a number from 0 to 1")
    return float(min(1.0, max(0.0, value)))


def message(caller: str, value: object, limit: int = LOG_LIMIT) -> str:
    """Return a text that PostgreSQL can store: NUL and lone surrogates become escapes. Raises ValueRefused."""
    if not isinstance(value, str):
        raise ValueRefused(f"{caller}: message = {_excerpt(value)}; allowed is text")
    if len(value) > limit:
        raise ValueRefused(
            f"{caller}: the message has {len(value)} characters; at most {limit} are allowed, "
            "store large data as an output"
        )
    return value.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def level(value: object) -> str:
    """Return a log level that is known. Raises ValueRefused."""
    if not (isinstance(value, str) and value in LEVELS):
        raise ValueRefused(f"log: level = {_excerpt(value)}; allowed are {', '.join(LEVELS)}")
    return str(value)


def output_name(value: object) -> str:
    """Return a valid output name. Raises ValueRefused."""
    if not (isinstance(value, str) and 0 < len(value) <= OUTPUT_NAME_LIMIT and _is_plain(value)):
        raise ValueRefused(
            f"add_output: name = {_excerpt(value)}; "
            f"allowed is text of 1 to {OUTPUT_NAME_LIMIT} characters without control characters"
        )
    return str(value)


def media_type(value: object) -> str:
    """Return a valid media type. Raises ValueRefused."""
    if not (isinstance(value, str) and _MEDIA_TYPE.fullmatch(value)):
        raise ValueRefused(f"add_output: media_type = {_excerpt(value)}; allowed is a type such as image/png")
    return str(value)


def writer(value: object) -> None:
    """Check that the value can be called. Raises ValueRefused."""
    if not callable(value):
        raise ValueRefused(f"add_output: write = {_excerpt(value)}; allowed is a function that takes an open file")


def turns(values: Sequence[object]) -> list[Turn]:
    """Return the turns without duplicates. Raises ValueRefused."""
    for value in values:
        if not isinstance(value, Turn):
            raise ValueRefused(f"take_all: {_excerpt(value)} is not a Turn")
        if not (isinstance(value.key, str) and 0 < len(value.key) <= RATE_KEY_LIMIT and _is_plain(value.key)):
            raise ValueRefused(
                f"take: key = {_excerpt(value.key)}; "
                f"allowed is text of 1 to {RATE_KEY_LIMIT} characters without control characters"
            )
        if not (_is_number(value.per_second) and RATE_MIN <= value.per_second <= RATE_MAX):
            rate = _excerpt(value.per_second)
            raise ValueRefused(f"take: per_second = {rate}; allowed is a number from {RATE_MIN:g} to {RATE_MAX:g}")
        if not (isinstance(value.burst, int) and not isinstance(value.burst, bool) and 1 <= value.burst <= BURST_MAX):
            raise ValueRefused(
                f"take: burst = {_excerpt(value.burst)}; allowed is a whole number from 1 to {BURST_MAX}"
            )
    return list(dict.fromkeys(value for value in values if isinstance(value, Turn)))


def refuse(problems: Sequence[Problem]) -> None:
    """Raise PermanentError with every problem, if there is one.

    A processor checks again when it runs: the settings may have changed since the submit, or be those of another place.
    """
    if problems:
        raise PermanentError("; ".join(f"{problem.field}: {problem.message}" for problem in problems))


def processor_problems(processor: object) -> list[str]:
    """Return a problem for each attribute of a processor with an impossible value."""
    found = []
    retries, timeout = getattr(processor, "max_retries", None), getattr(processor, "timeout_seconds", None)
    if retries is not None and not (
        isinstance(retries, int) and not isinstance(retries, bool) and 0 <= retries <= MAX_RETRIES_LIMIT
    ):
        found.append(
            f"max_retries = {_excerpt(retries)}; allowed is a whole number from 0 to {MAX_RETRIES_LIMIT}, or None"
        )
    if timeout is not None and not (_is_number(timeout) and isfinite(timeout) and 0 < timeout <= TIMEOUT_SECONDS_LIMIT):
        found.append(
            f"timeout_seconds = {_excerpt(timeout)}; "
            f"allowed is a number above 0, up to {TIMEOUT_SECONDS_LIMIT:g}, or None"
        )
    for name in ("light", "retry_on_timeout"):
        if not isinstance(value := getattr(processor, name, None), bool):
            found.append(f"{name} = {_excerpt(value)}; allowed are True and False")
    return found


def _is_plain(name: str) -> bool:
    return NOT_IN_NAMES.search(name) is None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real | Decimal) and not isinstance(value, bool)


def _excerpt(value: object) -> str:
    """Return a value for a message: shortened, and safe even if its `__repr__` raises."""
    try:
        return ascii(value)[:100]
    except Exception:
        return f"a {type(value).__name__}"
