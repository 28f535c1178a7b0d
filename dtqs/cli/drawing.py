"""Draw a table on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dtqs.cli.cells import STYLES
from dtqs.cli.columns import fitting, is_room, natural_width, widths


def draw(columns: Sequence[str], texts: Sequence[Sequence[str]], fold: bool, spare: Sequence[str]) -> bool:
    """Draw a table. False: the terminal is too narrow for it, and nothing is printed."""
    console = Console()
    places = fitting(columns, texts, spare, console.width)
    names, kept = [columns[place] for place in places], [[row[place] for place in places] for row in texts]
    shared = widths(names, kept, console.width)
    natural = [natural_width(name, [row[place] for row in kept]) for place, name in enumerate(names)]
    if not is_room(names, kept, range(len(names)), console.width) or not (fold or shared == natural):
        return False
    table = Table(header_style="bold")
    for name, width in zip(names, shared, strict=True):
        table.add_column(name, overflow="fold", width=width)
    for row in kept:
        table.add_row(*(Text(text, style=STYLES.get(text, "")) for text in row))
    console.print(table)
    return True
