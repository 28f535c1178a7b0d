"""Templates for a gateway's request: `${to}` and others, each value escaped for its place; pure."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

NAMES = ("to", "text", "sender", "id", "segments", "encoding", "status_callback", "token")
_PLACE = re.compile(r"\$\{([^}]{0,100})\}")
_QUOTED = re.compile("%[0-9A-F]{2}")
_CHARSET = re.compile(r"""charset\s{0,9}=\s{0,9}["']?([^\s"';]+)""", re.IGNORECASE)
_XML_ENCODING = re.compile(r"""<\?xml\b[^>]{0,200}\bencoding\s{0,9}=\s{0,9}["']([^"']*)""")
Escape = Callable[[str], str]


def fill(template: str, values: Mapping[str, str], escaped: Escape) -> str:
    """Insert all values in one pass, so that a placeholder inside a value stays text."""
    return _PLACE.sub(lambda match: escaped(values[match[1]]), template)


def check(template: str) -> str:
    """Return the template unchanged. Raises ValueError for an unknown name."""
    for name in _PLACE.findall(template):
        if name not in NAMES:
            shown = name if re.fullmatch("[a-z_]{1,20}", name) else "…"  # a name, and no key in the wrong place
            raise ValueError(f"unknown ${{{shown}}}; allowed: {', '.join(f'${{{known}}}' for known in NAMES)}")
    return template


def names(template: str) -> set[str]:
    return set(_PLACE.findall(template))


def in_url(value: str) -> str:
    return quote(value, safe="")


def spellings(value: str) -> set[str]:
    """Return the spellings in which another server may repeat a value."""
    quoted = {in_url(value), quote(value), quote_plus(value)}
    quoted |= {_QUOTED.sub(lambda match: match[0].lower(), each) for each in quoted}
    in_texts = {in_json(value), json.dumps(value)[1:-1]}
    in_texts |= {each.replace("/", "\\/") for each in in_texts}  # as PHP writes JSON
    in_pages = {escape(value, {"'": each, '"': "&quot;"}) for each in ("'", "&#039;", "&#39;", "&#x27;")}
    return {value, *quoted, *in_texts, *in_pages, _in_xml(value), escape(value)}


def in_header(value: str) -> str:
    """Remove everything that could end the header's line or is not ASCII."""
    return "".join(char for char in value if char.isascii() and char.isprintable())


def other_encoding(content_type: str, body: str) -> str | None:
    """Return the encoding that a request states if it is not UTF-8, in which all bodies are written."""
    stated = (_CHARSET.search(content_type), _XML_ENCODING.search(body))
    return next((match[1] for match in stated if match and match[1].lower() not in ("utf-8", "utf8")), None)


def escape_for(content_type: str) -> Escape:
    """Return the escape function for a body of this type; outside JSON, forms and XML values stay unescaped."""
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
        raise ValueError('not headers; allowed: a JSON object of texts, such as {"X-Reference": "${id}"}')
    for number, (name, template) in enumerate(value.items(), 1):
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or in_header(template) != template:
            raise ValueError(
                f"header {number} is not a header; allowed: a name of letters, digits and -, a value of printable ASCII"
            )
        check(template)
    return value


def content_type_in(headers: Mapping[str, str]) -> str | None:
    """Return the Content-Type among headers, or None."""
    return next((value for name, value in headers.items() if name.lower() == "content-type"), None)


def in_json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _in_xml(value: str) -> str:
    allowed = "".join(char for char in value if (char >= " " or char in "\t\n\r") and char not in "\ufffe\uffff")
    return escape(allowed, {'"': "&quot;", "'": "&apos;"})
