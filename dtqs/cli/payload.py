"""Build a payload from the command line: JSON, @file and KEY=VALUE pairs. Only the caller reads and uploads files.

A value `@file` becomes a LocalUpload, which the caller replaces by a URI with `resolve`.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from dtqs.errors import RequestError
from dtqs.json_value import DEPTH_LIMIT, is_carried

LIST_LIMIT = 10_000
"""Most entries of a list that is built from keys such as outputs.0.width."""

_DIGITS_LIMIT = 4300
"""Most digits of a whole number that Python converts."""
LEVELS_LIMIT = DEPTH_LIMIT - 1
"""The body of the submit is one more level."""


class PayloadError(RequestError):
    """The payload on the command line is malformed."""


@dataclass(frozen=True, slots=True)
class LocalUpload:
    """A local file to upload. Its URI takes its place in the payload."""

    path: Path


def build(options: Sequence[str], pairs: Sequence[str], read: Callable[[str], str]) -> Any:
    """Build the payload from each --payload in turn, then from the pairs. `read` returns the text of a file.

    A whole payload, as JSON or @FILE, may stand in either. Raises PayloadError.
    """
    payload: Any = None
    for option in (*options, *pairs):
        if option.startswith("@") or option.lstrip().startswith(("{", "[")):
            if payload is not None:
                raise PayloadError(
                    "a whole payload, as JSON or @FILE, must come first and only once; add fields with KEY=VALUE"
                )
            payload = _json(read(option[1:]) if option.startswith("@") else option, option)
        else:
            payload = _put(payload, option)
    if _is_deep(payload):
        raise PayloadError(f"the payload is nested too deep; at most {LEVELS_LIMIT} levels are allowed")
    return {} if payload is None else payload


def _json(text: str, shown: str) -> Any:
    try:
        return _parsed(text)
    except ValueError as error:
        raise PayloadError(f"--payload {shown[:60]}: invalid JSON: {error}") from error


def _parsed(text: str) -> Any:
    """Read JSON. Raises ValueError, and PayloadError for JSON that the API cannot take."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_number, parse_int=_integer)
    except RecursionError as error:
        raise PayloadError(f"{text[:60]!r}: JSON nested too deep; at most {LEVELS_LIMIT} levels are allowed") from error


def _number(text: str) -> float:
    if not is_carried(text):
        raise PayloadError(f"{text[:60]}: a 64-bit float cannot hold this number; to send it as text: KEY='\"TEXT\"'")
    return float(text)


def _integer(text: str) -> int:
    if len(text) > _DIGITS_LIMIT:
        raise PayloadError(
            f"{text[:60]}…: a number may have {_DIGITS_LIMIT} digits; to send it as text: KEY='\"TEXT\"'"
        )
    return int(text)


def _is_deep(payload: Any) -> bool:
    """Tell whether the payload is nested deeper than the API allows."""
    level = [payload]
    for _ in range(LEVELS_LIMIT):
        level = [inner for each in level for inner in _inner(each)]
    return any(isinstance(each, dict | list) for each in level)


def _inner(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _put(payload: Any, pair: str) -> Any:
    key, separator, text = pair.partition("=")
    if not separator or not key:
        raise PayloadError(f"{pair[:60]!r}: allowed: KEY=VALUE, KEY=@FILE, a JSON object, or @FILE with a JSON object")
    payload = {} if payload is None else payload
    container, steps = payload, [step.replace("\\.", ".") for step in re.split(r"(?<!\\)\.", key)]
    if "" in steps:
        raise PayloadError(f"{key}: a part of this key is empty; allowed: NAME=VALUE and NAME.NAME=VALUE")
    for step, following in pairwise(steps):
        container = _enter(container, step, [] if following.isdecimal() else {}, key)
    _enter(container, steps[-1], value(text), key, last=True)
    return payload


def _enter(container: Any, step: str, fresh: Any, key: str, last: bool = False) -> Any:
    """Return the entry of a dict or list that a step names. A missing entry is set to `fresh`.

    The `last` step of a key must be missing: it sets the value.
    """
    if isinstance(container, dict):
        if last and step in container:
            raise PayloadError(f"{key}: given twice")
        return container.setdefault(step, fresh)
    if isinstance(container, list) and _is_index(step) and int(step) <= min(len(container), LIST_LIMIT):
        if int(step) == len(container):
            container.append(fresh)
        elif last:
            raise PayloadError(f"{key}: given twice")
        return container[int(step)]
    if isinstance(container, list):
        raise PayloadError(f"{key}: {step} is not an index of its list; allowed: a number from 0 to {len(container)}")
    raise PayloadError(f"{key}: a part of this key already has a value that is not an object or a list")


def _is_index(step: str) -> bool:
    # Python converts no text of more than 4,300 digits
    return step.isdecimal() and len(step) <= len(str(LIST_LIMIT))


def value(text: str) -> Any:
    """Parse a value: @file, JSON if it is valid JSON, else the text itself."""
    if text.startswith("@"):
        return LocalUpload(Path(text[1:]))
    try:
        return _parsed(text)
    except ValueError:
        return text


def uploads(payload: Any) -> list[LocalUpload]:
    """Return the files to upload, each once, in the order of the payload."""
    if isinstance(payload, LocalUpload):
        return [payload]
    return list(dict.fromkeys(upload for each in _inner(payload) for upload in uploads(each)))


def resolve(payload: Any, uri_of: Callable[[LocalUpload], str]) -> Any:
    """Return the payload with each LocalUpload replaced by its URI."""
    if isinstance(payload, LocalUpload):
        return uri_of(payload)
    if isinstance(payload, dict):
        return {key: resolve(each, uri_of) for key, each in payload.items()}
    if isinstance(payload, list):
        return [resolve(each, uri_of) for each in payload]
    return payload
