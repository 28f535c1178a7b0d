"""Validation errors of payloads as problems: pydantic's errors with their place and the allowed values; pure."""

import functools
import json
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dtqs.errors import Problem
from dtqs.masking import masked
from dtqs.suggestion import suggestion

PROBLEMS_LIMIT = 100
_SUGGESTIONS = 10
"""Only the first problems of a payload get a suggestion: each search costs a millisecond."""
_SHOWN_CHARACTERS = 40
_DATE_AND_TIME = "a date and time as text, such as 2026-01-31T12:00:00Z"
_DATE, _TIME = "a date as text, such as 2026-01-31", "a time of day as text, such as 12:00:00"
_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a decimal number",
    "decimal_parsing": "a decimal number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "bytes_type": "text",
    "path_type": "text",
    "uuid_type": "a UUID as text",
    "uuid_parsing": "a UUID as text",
    "datetime_type": _DATE_AND_TIME,
    "datetime_parsing": _DATE_AND_TIME,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "time_type": _TIME,
    "time_parsing": _TIME,
    "time_delta_type": "a duration as text, such as PT1H30M",
    "time_delta_parsing": "a duration as text, such as PT1H30M",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "iterable_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
"""The expected type for each of pydantic's type errors."""


def payload_problems(error: ValidationError, model: type[BaseModel], root: str = "payload") -> list[Problem]:
    """Return a problem for each error, at most PROBLEMS_LIMIT, then one with the number of the others."""
    faults = error.errors(include_url=False, include_context=False)
    problems = [
        _problem(root, fault["loc"], fault["type"], _message(fault), model, at < _SUGGESTIONS)
        for at, fault in enumerate(faults[:PROBLEMS_LIMIT])
    ]
    if len(faults) > PROBLEMS_LIMIT:
        problems.append(Problem(root, f"{len(faults) - PROBLEMS_LIMIT} more"))
    return problems


def place(root: str, loc: Sequence[int | str]) -> str:
    """Return the path of a field, as in `payload.outputs[0].width`."""
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part[:100]}" for part in loc)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside a field's type, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part))), None)


def _problem(
    root: str, loc: tuple[int | str, ...], kind: str, message: str, model: type[BaseModel], suggests: bool
) -> Problem:
    if loc and loc[-1] == "[key]":  # the fault is a key of an object with free keys
        loc = loc[:-1]
    where = place(root, loc)
    if kind == "extra_forbidden":
        parent = _model_at(model, loc[:-1])
        known = list(_fields(parent)) if parent else []
        return Problem(where, f"no such field{suggestion(str(loc[-1]) if suggests else '', known)}")
    if kind == "missing":
        return Problem(where, f"must be given{_allowed(model, loc)}")
    # users cannot read a regular expression
    if kind == "string_pattern_mismatch" and (allowed := _allowed(model, loc)):
        return Problem(where, f"does not have the allowed form{allowed}")
    if kind == "value_error":  # a message of our own, which already says what is allowed
        return Problem(where, message.removeprefix("Value error, "))
    return Problem(where, message.replace("Input should", "should") + _allowed(model, loc))


def _message(fault: ErrorDetails) -> str:
    """Return the message of one pydantic error. For a wrong type it includes the given value."""
    wanted = _WANTED.get(fault["type"])
    return f"must be {wanted}, not {_excerpt(fault['loc'], fault['input'])}" if wanted else fault["msg"]


def _excerpt(loc: Sequence[int | str], value: Any) -> str:
    """Return a value of the wrong type, shortened and with secrets masked."""
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    name = next((part for part in reversed(loc) if isinstance(part, str)), "")
    value = masked({name: value})[name]
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        value = f"{value[:_SHOWN_CHARACTERS]}…"
    return json.dumps(value, ensure_ascii=False, default=lambda other: type(other).__name__)


def _allowed(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """Return the field's description: it says what is allowed more fully than the one failed check."""
    parent = _model_at(model, loc[:-1])
    field = _fields(parent).get(str(loc[-1])) if parent and loc else None
    return f"; {field.description}" if field and field.description else ""


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model at an error's place; None if the path leads through anything but models."""
    at: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int) or at is None:
            continue
        field = _fields(at).get(part)
        at = model_in(field.annotation) if field else None
    return at


@functools.cache
def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a model's fields by their names in payloads."""
    return {field.alias or name: field for name, field in model.model_fields.items()}
