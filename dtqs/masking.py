"""Mask secrets in values, by name or by form. The console, the command line and the dashboard share masking.json."""

import json
import re
from importlib import resources
from typing import Any

_RULES: dict[str, Any] = json.loads((resources.files("dtqs") / "masking.json").read_text(encoding="utf-8"))
MASK: str = _RULES["mask"]
_NAMES = re.compile(_RULES["names"])
"""Matches names of secret values, in lower case and with a `_` between the words of a camelCase name."""
_TEXTS = [re.compile(text, re.IGNORECASE) for text in _RULES["texts"]]
"""Each matches a secret inside a text. The first group stays visible, the rest is masked."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def masked(value: Any) -> Any:
    """Return a value with its secrets masked: values under a secret name, and secrets inside texts.

    Null, true, false and an empty text are not masked.
    """
    if isinstance(value, dict):
        return {name: MASK if _is_secret(str(name), inner) else masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return masked_text(value) if isinstance(value, str) else value


def masked_text(text: str) -> str:
    for each in _TEXTS:
        text = each.sub(rf"\g<1>{MASK}", text)
    return text


def _is_secret(name: str, value: Any) -> bool:
    return (
        value is not None
        and value != ""
        and not isinstance(value, bool)
        and _NAMES.search(_HUMP.sub("_", name).lower()) is not None
    )
