"""Line breaks in a value: configparser joins an indented line to the value above it, which may swallow another key."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Literal, get_origin

from pydantic.fields import FieldInfo

from dtqs.config.allowed import is_list, kinds
from dtqs.config.section import SeveralLines

_KEY = re.compile(r"\s*([a-z]\w*)\s*[=:]", re.IGNORECASE)


def fault_of_lines(text: str, field: FieldInfo, keys: Collection[str], is_ours: bool) -> str | None:
    """Return why the further lines of a value are refused, or None.

    Another package may know texts of several lines. Its texts are refused only if a line sets another key.
    """
    first, *further = text.strip().splitlines() or [""]
    mark = next((mark for mark in field.metadata if isinstance(mark, SeveralLines)), None)
    if not further or (mark and mark.may_name_keys):
        return None
    begun = next((match[1] for line in further if (match := _KEY.match(line)) and match[1].lower() in keys), None)
    if begun:
        return f"a further line sets {begun}; allowed: {begun} in the same column as the other keys"
    if is_list(field):
        parts = [part.strip() for part in "\n".join([first, *further]).split(",")]
        return "allowed: a comma before each further line" if any("\n" in part for part in parts) else None
    return "allowed: one line" if not mark and (is_ours or not _is_text(field)) else None


def _is_text(field: FieldInfo) -> bool:
    return not any(kind in (bool, int, float, Path) or get_origin(kind) is Literal for kind in kinds(field))
