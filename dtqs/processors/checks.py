"""Checks of the values that an author's code gives to its context: a wrong value fails its own task, never the worker; pure."""

import re
from collections.abc import Sequence
from decimal import Decimal
from math import isfinite, isnan
from numbers import Real
from typing import TypeGuard

from dtqs.errors import ValueRefused
from dtqs.event import LEVELS
from dtqs.json_value import LOG_LIMIT
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
    """Return how much is done, from 0 to 1. Raises ValueRefused for what is no number."""
    if not _is_number(value) or isnan(value):
        raise ValueRefused(f"progress: fraction = {_shown(value)}; allowed is a number from 0 to 1")
    return float(min(1.0, max(0.0, value)))


def message(what: str, value: object, limit: int = LOG_LIMIT) -> str:
    """Return words for people as PostgreSQL can hold them: a NUL and a lone surrogate are written as escapes. Raises ValueRefused."""
    if not isinstance(value, str):
        raise ValueRefused(f"{what}: message = {_shown(value)}; allowed is text")
    if len(value) > limit:
        raise ValueRefused(
            f"{what}: the message has {len(value)} characters; at most {limit} are allowed, store what is large as an output"
        )
    return value.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def level(value: object) -> str:
    """Raises ValueRefused."""
    if not (isinstance(value, str) and value in LEVELS):
        raise ValueRefused(f"log: level = {_shown(value)}; allowed are {', '.join(LEVELS)}")
    return str(value)


def output_name(value: object) -> str:
    """Raises ValueRefused."""
    if not (isinstance(value, str) and 0 < len(value) <= OUTPUT_NAME_LIMIT and value.isprintable()):
        raise ValueRefused(
            f"add_output: name = {_shown(value)}; allowed is text of 1 to {OUTPUT_NAME_LIMIT} printable characters"
        )
    return str(value)


def media_type(value: object) -> str:
    """Raises ValueRefused."""
    if not (isinstance(value, str) and _MEDIA_TYPE.fullmatch(value)):
        raise ValueRefused(f"add_output: media_type = {_shown(value)}; allowed is a type as in image/png")
    return str(value)


def writer(value: object) -> None:
    """Raises ValueRefused."""
    if not callable(value):
        raise ValueRefused(f"add_output: write = {_shown(value)}; allowed is a function that gets an open file")


def turns(values: Sequence[object]) -> list[Turn]:
    """Return each of the turns once. Raises ValueRefused."""
    for value in values:
        if not isinstance(value, Turn):
            raise ValueRefused(f"take_all: {_shown(value)} is no Turn")
        if not (isinstance(value.key, str) and 0 < len(value.key) <= RATE_KEY_LIMIT and value.key.isprintable()):
            raise ValueRefused(
                f"take: key = {_shown(value.key)}; allowed is text of 1 to {RATE_KEY_LIMIT} printable characters"
            )
        if not (_is_number(value.per_second) and RATE_MIN <= value.per_second <= RATE_MAX):
            raise ValueRefused(
                f"take: per_second = {_shown(value.per_second)}; allowed is a number from {RATE_MIN:g} to {RATE_MAX:g}"
            )
        if not (isinstance(value.burst, int) and not isinstance(value.burst, bool) and 1 <= value.burst <= BURST_MAX):
            raise ValueRefused(f"take: burst = {_shown(value.burst)}; allowed is a whole number from 1 to {BURST_MAX}")
    return list(dict.fromkeys(value for value in values if isinstance(value, Turn)))


def processor_problems(processor: object) -> list[str]:
    """Name the attributes of a processor that no worker could obey."""
    found = []
    retries, timeout = getattr(processor, "max_retries", None), getattr(processor, "timeout_seconds", None)
    if retries is not None and not (
        isinstance(retries, int) and not isinstance(retries, bool) and 0 <= retries <= MAX_RETRIES_LIMIT
    ):
        found.append(
            f"max_retries = {_shown(retries)}; allowed is a whole number from 0 to {MAX_RETRIES_LIMIT}, or None"
        )
    if timeout is not None and not (_is_number(timeout) and isfinite(timeout) and 0 < timeout <= TIMEOUT_SECONDS_LIMIT):
        found.append(
            f"timeout_seconds = {_shown(timeout)}; allowed is a number above 0, up to {TIMEOUT_SECONDS_LIMIT:g}, or None"
        )
    for name in ("light", "retry_on_timeout"):
        if not isinstance(value := getattr(processor, name, None), bool):
            found.append(f"{name} = {_shown(value)}; allowed are True and False")
    return found


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real | Decimal) and not isinstance(value, bool)


def _shown(value: object) -> str:
    """Write a value in a message: short, and whatever its own code does."""
    try:
        return ascii(value)[:100]
    except Exception:
        return f"a {type(value).__name__}"
