"""The lines of a view. Rows of a long list are written only when they are on the screen."""

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dtqs.console.lines import ScreenLine, restyled


class RowMark(NamedTuple):
    """The key of a selectable line, and the id of the task that it opens."""

    key: str | None
    task_id: str | None


@dataclass(frozen=True, slots=True)
class Rows:
    """One line for each entry. `mark` is cheap, and `write` is not."""

    entries: Sequence[Any]
    write: Callable[[Any], ScreenLine]
    mark: Callable[[Any], RowMark]

    def restyled(self, style: str) -> "Rows":
        return Rows(self.entries, lambda entry: restyled(self.write(entry), style), self.mark)


class ViewLines:
    """Lines one below the other: written ones, and rows."""

    def __init__(self, *parts: Sequence[ScreenLine] | Rows) -> None:
        self.parts = [part if isinstance(part, Rows) else Rows(part, _itself, _mark_of) for part in parts]
        self._starts = list(itertools.accumulate((len(part.entries) for part in self.parts), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def shown(self, first: int, count: int) -> list[ScreenLine]:
        """Write the lines of a part of the view."""
        numbers = range(max(0, first), min(first + count, len(self)))
        return [part.write(entry) for part, entry in map(self._at, numbers)]

    def mark(self, number: int) -> RowMark:
        part, entry = self._at(number)
        return part.mark(entry)

    def marks(self) -> Iterator[RowMark]:
        for part in self.parts:
            yield from map(part.mark, part.entries)

    def below(self, count: int) -> "ViewLines":
        """Return the lines without the first ones, which are in the first part."""
        first, *others = self.parts
        return ViewLines(Rows(first.entries[count:], first.write, first.mark), *others)

    def restyled(self, style: str) -> "ViewLines":
        """Return the lines with one style throughout."""
        return ViewLines(*(part.restyled(style) for part in self.parts))

    def _at(self, number: int) -> tuple[Rows, Any]:
        index = bisect_right(self._starts, number) - 1
        return self.parts[index], self.parts[index].entries[number - self._starts[index]]


def _itself(written: ScreenLine) -> ScreenLine:
    return written


def _mark_of(written: ScreenLine) -> RowMark:
    return RowMark(written.key, written.task_id)
