"""The text and the colour of one cell of a table."""

from typing import Any

from dtqs.json_value import dumps
from dtqs.log import visible

NOTHING = "-"
STYLES = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "in_progress": "cyan",
    "ok": "green",
    "error": "red",
    "warning": "yellow",
    "away": "red",
    "ready": "green",
    "busy": "cyan",
    "draining": "yellow",
}
"""Colours of words that are alone in a cell."""


def cell_text(value: Any) -> str:
    """Write one value on one line: text with its control characters made visible, other values as JSON."""
    if value is None:
        return NOTHING
    return visible(value if isinstance(value, str) else dumps(value, default=str).decode())
