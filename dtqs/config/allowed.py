"""Describe which values a key of the configuration may hold; pure."""

import re
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from dtqs.config.section import ShownAs, WithUnit
from dtqs.masking import masked_text
from dtqs.shown_url import MASK, without_logins

_ASSIGNED = re.compile(r"(passw|secret|token)\w*\s*=", re.IGNORECASE)


def kinds(field: FieldInfo) -> tuple[Any, ...]:
    """Return the types that a field's annotation names: the members of a union, else the annotation itself."""
    annotation = field.annotation
    parts = get_args(annotation)
    return parts if parts and get_origin(annotation) not in (Literal, tuple) else (annotation,)


def may_be_empty(field: FieldInfo) -> bool:
    """Tell whether an empty value in the file means "not set"."""
    return NoneType in kinds(field)


def is_secret(field: FieldInfo) -> bool:
    return SecretStr in kinds(field)


def shown(field: FieldInfo, text: str) -> str:
    """Return a value as messages show it: without what may be secret in it."""
    if is_secret(field):
        return MASK
    if mark := next((mark for mark in field.metadata if isinstance(mark, ShownAs)), None):
        return mark.change(text) if text else ""
    # a connection string under another key
    return MASK if _ASSIGNED.search(text) else safe(text)


def safe(text: str) -> str:
    """Return a text about the configuration without the secrets that it quotes."""
    return masked_text(without_logins(text))


def is_list(field: FieldInfo) -> bool:
    return any(get_origin(kind) is tuple for kind in kinds(field))


def allowed(field: FieldInfo) -> str:
    """Describe the values that a key may hold: `a whole number from 1 to 65535`, `on or off`."""
    choices = [_allowed_kind(kind, field) for kind in kinds(field) if kind is not NoneType]
    return " or ".join(choices) + (", or empty" if may_be_empty(field) else "")


def _allowed_kind(kind: Any, field: FieldInfo) -> str:
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
    if get_origin(kind) is tuple:
        return "a list separated by commas, or empty"
    if kind is bool:
        return "on or off"
    if kind in (int, float):
        unit = ", or one with K, M, G or T" if any(isinstance(mark, WithUnit) for mark in field.metadata) else ""
        return f"{'a whole number' if kind is int else 'a number'}{_bounds(field)}{unit}"
    if kind is Path:
        return "a path"
    return "text" if field.default == "" or may_be_empty(field) else "text that is not empty"


def _bounds(field: FieldInfo) -> str:
    at_least = next((m.ge for m in field.metadata if isinstance(m, Ge)), None)
    above = next((m.gt for m in field.metadata if isinstance(m, Gt)), None)
    at_most = next((m.le for m in field.metadata if isinstance(m, Le)), None)
    below = next((m.lt for m in field.metadata if isinstance(m, Lt)), None)
    low = (
        f" from {number(at_least)}" if at_least is not None else f" above {number(above)}" if above is not None else ""
    )
    high = f" to {number(at_most)}" if at_most is not None else f" below {number(below)}" if below is not None else ""
    return low + high


def number(value: Any) -> str:
    """Format a number without a trailing `.0`, as an operator writes it."""
    return str(int(value)) if value == int(value) else str(value)
