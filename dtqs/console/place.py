"""Scroll position and selection of one view: the lines on the screen, and keys that move; pure."""

from dataclasses import dataclass

from dtqs.console.lines import ScreenLine, fit, restyled
from dtqs.console.rows import ViewLines

STEPS = {"down": 1, "j": 1, "up": -1, "k": -1}
PAGES = {"pagedown": 1, "pageup": -1}
ENDS = {"home", "g", "end", "G"}


@dataclass(slots=True)
class Place:
    """First visible line of a view, and the key of its selected line."""

    scroll: int = 0
    selected: str | None = None

    def visible(self, lines: ViewLines, rows: int, width: int) -> list[ScreenLine]:
        """Return the visible lines, the selected one highlighted. Scroll back if the view has become shorter."""
        self.scroll = max(0, min(self.scroll, len(lines) - rows))
        fitted = [fit(each, width) for each in lines.shown(self.scroll, rows)]
        return [
            restyled(each, "selected") if each.key is not None and each.key == self.selected else each
            for each in fitted
        ]

    def selected_task(self, lines: ViewLines) -> str | None:
        """Return the task id of the selected line."""
        if self.selected is None:
            return None
        return next((mark.task_id for mark in lines.marks() if mark.key == self.selected), None)

    def move(self, key: str, lines: ViewLines, rows: int) -> None:
        """Take one of the keys of STEPS, PAGES and ENDS."""
        if key in STEPS:
            self.select(STEPS[key], lines, rows)
            return
        self.selected = None
        if key in PAGES:
            self.scroll_by(PAGES[key] * (rows - 1), lines, rows)
        else:
            self.scroll = 0 if key in ("home", "g") else len(lines)

    def scroll_by(self, count: int, lines: ViewLines, rows: int) -> None:
        """Scroll within the lines."""
        self.scroll = max(0, min(self.scroll + count, len(lines) - rows))

    def select(self, step: int, lines: ViewLines, rows: int) -> None:
        """Select the next selectable line in this direction, and scroll past the last one."""
        keyed = [number for number, mark in enumerate(lines.marks()) if mark.key is not None]
        current = next((number for number in keyed if lines.mark(number).key == self.selected), None)
        if current is None:
            inside = [number for number in keyed if self.scroll <= number < self.scroll + rows]
            target = (inside[0] if step > 0 else inside[-1]) if inside else None
        else:
            ahead = [number for number in keyed if (number - current) * step > 0]
            target = (ahead[0] if step > 0 else ahead[-1]) if ahead else None
        if target is None:
            self.scroll = max(0, self.scroll + step)
            return
        self.selected = lines.mark(target).key
        self.scroll = max(min(self.scroll, target if target > keyed[0] else 0), target - rows + 1)
