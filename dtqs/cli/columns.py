"""Which columns of a table fit on a terminal, and how wide each is; pure. Ids, times and numbers are never broken: people copy them."""

from collections.abc import Collection, Sequence

from rich.cells import cell_len

PROSE_LEAST = 12
"""Text of several words is broken between them, down to this width."""
WHOLE_LIMIT = 40
"""What has no space in it is whole up to this width: an id has 36."""
NOTHING = "-"
Rows = Sequence[Sequence[str]]


def fitting(columns: Sequence[str], rows: Rows, spare: Sequence[str], width: int) -> tuple[int, ...]:
    """Return the places of the columns to draw: without as many of the spare ones, the first ones first, as are too wide; those that say nothing go before."""
    empty = {name for place, name in enumerate(columns) if all(row[place] == NOTHING for row in rows)}
    going = [*(name for name in spare if name in empty), *(name for name in spare if name not in empty)]
    places = list(range(len(columns)))
    while going and not is_room(columns, rows, places, width):
        places.remove(columns.index(going.pop(0)))
    return tuple(places)


def is_room(columns: Sequence[str], rows: Rows, places: Collection[int], width: int) -> bool:
    return sum(least_width(columns[place], [row[place] for row in rows]) for place in places) <= _room(
        len(places), width
    )


def least_width(column: str, cells: Sequence[str]) -> int:
    """Return how narrow a column may be: its name is whole, and so is every cell unless it is prose or longer than what is copied by eye."""
    least = PROSE_LEAST if any(" " in cell for cell in cells) else WHOLE_LIMIT
    return max(cell_len(column), min(natural_width(column, cells), least))


def natural_width(column: str, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (column, *cells))


def widths(columns: Sequence[str], rows: Rows, width: int) -> list[int]:
    """Share the room out: no column gets more than it needs, and the narrowest ones get it first."""
    cells = [[row[place] for row in rows] for place in range(len(columns))]
    shared, natural = list(map(least_width, columns, cells)), list(map(natural_width, columns, cells))
    left = _room(len(columns), width) - sum(shared)
    while left > 0 and (wanting := [place for place in range(len(columns)) if shared[place] < natural[place]]):
        shared[min(wanting, key=shared.__getitem__)] += 1
        left -= 1
    return shared


def _room(count: int, width: int) -> int:
    """Lines and a space on both sides of each cell take the rest."""
    return width - 3 * count - 1
