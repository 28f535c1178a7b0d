"""Templates of the gateway's request: `${to}` and the like, each value escaped for the place where it stands; pure."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

NAMES = ("to", "text", "sender", "id", "segments", "encoding", "status_callback", "token")
_PLACE = re.compile(r"\$\{([^}]{0,100})\}")
Escape = Callable[[str], str]


def fill(template: str, values: Mapping[str, str], escaped: Escape) -> str:
    """Put the values in, all at once: what looks like a place inside a value stays text."""
    return _PLACE.sub(lambda match: escaped(values[match[1]]), template)


def check(template: str) -> str:
    """Return the template as it is. Raises ValueError where it names what there is not."""
    for name in _PLACE.findall(template):
        if name not in NAMES:
            raise ValueError(f"there is no ${{{name}}}; allowed: {', '.join(f'${{{known}}}' for known in NAMES)}")
    return template


def names(template: str) -> set[str]:
    return set(_PLACE.findall(template))


def in_url(value: str) -> str:
    return quote(value, safe="")


def spellings(value: str) -> set[str]:
    """Return the ways in which a value may be written where another server repeats it."""
    return {
        value,
        in_url(value),
        quote(value),
        quote_plus(value),
        in_json(value),
        json.dumps(value)[1:-1],
        _in_xml(value),
        escape(value),
    }


def in_header(value: str) -> str:
    """Leave nothing that could end the header's line, nor what its octets cannot hold."""
    return "".join(char for char in value if char.isascii() and char.isprintable())


def escape_for(content_type: str) -> Escape:
    """Return how a value is escaped in a body of this type; what is no JSON, form or XML takes it as it is."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith("json"):
        return in_json
    if kind == "application/x-www-form-urlencoded":
        return quote_plus
    return _in_xml if kind.endswith("xml") else str


def headers(text: str) -> dict[str, str]:
    """Read a JSON object of header names and templates. Raises ValueError."""
    value: Any = json.loads(text) if text else {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError('no headers; allowed: a JSON object of texts, as in {"X-Reference": "${id}"}')
    for name, template in value.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or in_header(template) != template:
            raise ValueError(
                f"no header: {name!r}; allowed: a name of letters, digits and -, a value of printable ASCII"
            )
        check(template)
    return value


def in_json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _in_xml(value: str) -> str:
    allowed = "".join(char for char in value if char >= " " or char in "\t\n\r")
    return escape(allowed, {'"': "&quot;", "'": "&apos;"})
