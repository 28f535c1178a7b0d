"""Print tables on a terminal, plain columns elsewhere, and JSON. Text from tasks cannot steer the terminal."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dtqs.cli.columns import NOTHING, fitting, is_room, natural_width, widths
from dtqs.json_value import dumps
from dtqs.log import visible

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


def painted(text: str, style: str, err: bool = False) -> str:
    """Colour a text as the word `style`, on a terminal without NO_COLOR. `err`: the text goes to standard error."""
    if (
        style not in STYLES
        or not (sys.stderr if err else sys.stdout).isatty()
        or os.environ.get("NO_COLOR")
        or os.environ.get("TERM") == "dumb"
    ):
        return text
    return click.style(text, fg=STYLES[style])


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json_text(value, orjson.OPT_INDENT_2))


def json_text(value: Any, option: int = 0) -> str:
    """Write JSON with every invisible character escaped.

    JSON itself leaves DEL, C1 controls and direction marks as they are, and a terminal obeys them.
    """
    text = dumps(value, option).decode()
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], fold: bool = True, spare: Sequence[str] = ()
) -> None:
    """Print rows: a drawn table on a terminal, else plain columns under their names.

    A table too wide for the terminal drops columns in `spare`, in their order. If it is still too wide, it is printed
    plain, since a broken id cannot be copied. Without `fold`, prose is not broken either: a path may have spaces.
    """
    texts = [[cell_text(cell) for cell in row] for row in rows]
    console = Console()
    places = fitting(columns, texts, spare, console.width)
    names, kept = [columns[place] for place in places], [[row[place] for place in places] for row in texts]
    shared = widths(names, kept, console.width)
    natural = [natural_width(name, [row[place] for row in kept]) for place, name in enumerate(names)]
    if (
        not sys.stdout.isatty()
        or not is_room(names, kept, range(len(names)), console.width)
        or not (fold or shared == natural)
    ):
        _print_plain(columns, texts)
        return
    table = Table(header_style="bold")
    for name, width in zip(names, shared, strict=True):
        table.add_column(name, overflow="fold", width=width)
    for row in kept:
        table.add_row(*(Text(text, style=STYLES.get(text, "")) for text in row))
    console.print(table)


def _print_plain(columns: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    lines = [list(columns), *map(list, texts)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def cell_text(value: Any) -> str:
    """Write one value on one line: text with its control characters made visible, other values as JSON."""
    if value is None:
        return NOTHING
    return visible(value if isinstance(value, str) else dumps(value, default=str).decode())
