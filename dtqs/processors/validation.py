"""Validation of payloads, from JSON text or from its decoded value.

A strict model refuses text for a date, a UUID or a set in decoded values, and accepts it in JSON text. So payloads with
refused values are validated as text. Text that a field `datetime | str` takes as a value stays text.
"""

from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, ValidationError

_PLAIN = (str, int, float, bool, NoneType, Any)
"""The types of decoded JSON: for these both ways give the same result."""


def validate_also_as_text(model: type[BaseModel], value: Any, text: str | None) -> BaseModel:
    """Return the validated payload. `text` is the JSON of `value`, if the caller has it. Raises ValidationError."""
    try:
        return model.model_validate(value)
    except ValidationError:
        if text is None:
            try:
                text = orjson.dumps(value).decode()
            except TypeError:  # an earlier version may have stored a value that is beyond the limits now
                text = None
        if text is None:
            raise
    return _read(model, text)


def reader(model: type[BaseModel]) -> Callable[[str], BaseModel]:
    """Return a function that validates JSON text. It raises ValidationError."""
    validate_value, loads = model.model_validate, orjson.loads
    if takes_values(model):
        return lambda text: validate_value(loads(text))
    return lambda text: validate_also_as_text(model, loads(text), text)


def takes_values(model: type[BaseModel]) -> bool:
    """Tell whether decoded values of this model need no text: it has only types of JSON, or validates them itself."""
    has_own_way = model.model_validate.__func__ is not BaseModel.model_validate.__func__  # type: ignore[attr-defined]
    return has_own_way or _is_plain(model, set())


def _read(model: type[BaseModel], text: str) -> BaseModel:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        # pydantic reads fewer levels than DTQS allows
        if error.error_count() == 1 and error.errors(include_url=False)[0]["type"] == "json_invalid":
            return model.model_validate(orjson.loads(text))
        raise


def _is_plain(annotation: Any, seen: set[type]) -> bool:
    """Tell whether a type certainly has only types of JSON."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return all(type(value) in _PLAIN for value in parts)
    if origin is Annotated:
        return _is_plain(parts[0], seen)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fresh = annotation not in seen
        seen.add(annotation)
        return not fresh or all(_is_plain(field.annotation, seen) for field in annotation.model_fields.values())
    if origin is dict and parts[0] is not str and get_args(parts[0])[:1] != (str,):
        return False
    return annotation in _PLAIN or (
        origin in (list, dict, Union, UnionType) and all(_is_plain(part, seen) for part in parts)
    )
