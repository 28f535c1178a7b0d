"""How commands print: tables on a terminal, plain and stable columns elsewhere, JSON on demand. What came from tasks cannot steer the terminal."""

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
"""Colours of words that stand alone in a cell."""


def painted(text: str, style: str, err: bool = False) -> str:
    """Colour a text in a line as the word `style` would be; on a terminal only, and not with NO_COLOR. `err`: it goes to standard error."""
    if (
        style not in STYLES
        or not (sys.stderr if err else sys.stdout).isatty()
        or os.environ.get("NO_COLOR")
        or os.environ.get("TERM") == "dumb"
    ):
        return text
    return click.style(text, fg=STYLES[style])


def print_json(value: Any) -> None:
    click.echo(json_text(value, orjson.OPT_INDENT_2))


def json_text(value: Any, option: int = 0) -> str:
    """Write JSON whose every character can be seen: JSON leaves DEL, C1 controls and marks of direction as they are, and a terminal obeys them."""
    text = dumps(value, option).decode()
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], fold: bool = True, spare: Sequence[str] = ()
) -> None:
    """Print rows: a drawn table on a terminal, else columns of plain text under their names.

    The columns in `spare` are left out, the first ones first, of a table that is too wide for its terminal. What is too wide still is printed plain:
    an id that was cut in pieces cannot be copied; with `fold` off, that is also so for prose, such as a path with spaces.
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
    """Write one value on one line: text as it is with control characters made visible, other things as JSON."""
    if value is None:
        return NOTHING
    return visible(value if isinstance(value, str) else dumps(value, default=str).decode())
