"""How commands print: tables on a terminal, plain and stable columns elsewhere, JSON on demand. What came from tasks cannot steer the terminal."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click
import orjson
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from dtqs.log import visible

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
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


def painted(text: str, style: str) -> str:
    """Colour a text in a line as the word `style` would be; on a terminal only, and not with NO_COLOR."""
    if style not in STYLES or not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return click.style(text, fg=STYLES[style])


def print_json(value: Any) -> None:
    click.echo(json_text(value, orjson.OPT_INDENT_2))


def json_text(value: Any, option: int = 0) -> str:
    """Write JSON whose every character can be seen: JSON leaves DEL, C1 controls and marks of direction as they are, and a terminal obeys them."""
    text = orjson.dumps(value, option=option).decode()
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], fold: bool = True) -> None:
    """Print rows: a drawn table on a terminal, else columns of plain text under their names.

    With `fold` off, what is too wide for a table is printed plain: a path that was cut in pieces cannot be copied.
    """
    texts = [[cell_text(cell) for cell in row] for row in rows]
    console = Console()
    table = Table(header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in texts:
        table.add_row(*(Text(text, style=STYLES.get(text, "")) for text in row))
    if sys.stdout.isatty() and (fold or Measurement.get(console, console.options, table).maximum < console.width):
        console.print(table)
    else:
        _print_plain(columns, texts)


def _print_plain(columns: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    lines = [list(columns), *map(list, texts)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def cell_text(value: Any) -> str:
    """Write one value on one line: text as it is with control characters made visible, other things as JSON."""
    if value is None:
        return "-"
    return visible(value if isinstance(value, str) else orjson.dumps(value, default=str).decode())


def size(count: int) -> str:
    """Write a number of bytes for people: 1.2 MiB."""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.{min(unit, 1)}f} {UNITS[unit]}"
