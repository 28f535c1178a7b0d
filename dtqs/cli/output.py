"""Print tables on a terminal, plain columns elsewhere, and JSON. Text from tasks cannot steer the terminal."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click
import orjson

from dtqs.cli.cells import STYLES, cell_text
from dtqs.json_value import dumps
from dtqs.standard_streams import escaped


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
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else escaped(c) for c in text)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], fold: bool = True, spare: Sequence[str] = ()
) -> None:
    """Print rows: a drawn table on a terminal, else plain columns under their names.

    A table too wide for the terminal drops columns in `spare`, in their order. If it is still too wide, it is printed
    plain, since a broken id cannot be copied. Without `fold`, prose is not broken either: a path may have spaces.
    """
    texts = [[cell_text(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from dtqs.cli.drawing import draw  # rich costs 0.1 s, and a script draws nothing

        if draw(columns, texts, fold, spare):
            return
    _print_plain(columns, texts)


def _print_plain(columns: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    lines = [list(columns), *map(list, texts)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
