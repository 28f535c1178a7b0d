"""Choose the columns of a table that fit on a terminal, and their widths; pure.

Ids, times and numbers are never broken, since people copy them.
"""

from collections.abc import Collection, Sequence

from rich.cells import cell_len

from dtqs.cli.cells import NOTHING

PROSE_LEAST = 12
"""Text of several words wraps between words, down to this width."""
WHOLE_LIMIT = 40
"""Text without a space is not broken up to this width. An id has 36 characters."""
Rows = Sequence[Sequence[str]]


def fitting(columns: Sequence[str], rows: Rows, spare: Sequence[str], width: int) -> tuple[int, ...]:
    """Return the places of the columns to draw.

    Columns in `spare` are dropped until the table fits: first those without a value, then the others, in their order.
    """
    empty = {name for place, name in enumerate(columns) if all(row[place] == NOTHING for row in rows)}
    droppable = [*(name for name in spare if name in empty), *(name for name in spare if name not in empty)]
    places = list(range(len(columns)))
    while droppable and not is_room(columns, rows, places, width):
        places.remove(columns.index(droppable.pop(0)))
    return tuple(places)


def is_room(columns: Sequence[str], rows: Rows, places: Collection[int], width: int) -> bool:
    """Tell whether the columns at these places fit into `width`, each at its least width."""
    return sum(least_width(columns[place], [row[place] for row in rows]) for place in places) <= _room(
        len(places), width
    )


def least_width(column: str, cells: Sequence[str]) -> int:
    """Return the least width of a column: its name and every cell fit, unless a cell is prose or very long."""
    least = PROSE_LEAST if any(" " in cell for cell in cells) else WHOLE_LIMIT
    return max(cell_len(column), min(natural_width(column, cells), least))


def natural_width(column: str, cells: Sequence[str]) -> int:
    """Return the width at which nothing in a column is broken."""
    return max(cell_len(text) for text in (column, *cells))


def widths(columns: Sequence[str], rows: Rows, width: int) -> list[int]:
    """Share the free width: no column gets more than it needs, and the narrowest column gets it first."""
    cells = [[row[place] for row in rows] for place in range(len(columns))]
    shared, natural = list(map(least_width, columns, cells)), list(map(natural_width, columns, cells))
    left = _room(len(columns), width) - sum(shared)
    while left > 0 and (wanting := [place for place in range(len(columns)) if shared[place] < natural[place]]):
        shared[min(wanting, key=shared.__getitem__)] += 1
        left -= 1
    return shared


def _room(count: int, width: int) -> int:
    """Return the width left for text: lines and a space on both sides of each cell take the rest."""
    return width - 3 * count - 1
