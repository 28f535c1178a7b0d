"""State of the screen, changed by keys and clicks. `frame` draws it as lines of styled text.

Independent of curses and of servers.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable

from dtqs.console.head import head
from dtqs.console.help import foot, help_lines
from dtqs.console.lines import ScreenLine, StyledText, fit, line, safe
from dtqs.console.logs import LEVELS, logs
from dtqs.console.overview import overview
from dtqs.console.place import ENDS, PAGES, STEPS, Place
from dtqs.console.prompt import Question, input_line, question_line
from dtqs.console.queue import queue
from dtqs.console.rows import ViewLines
from dtqs.console.snapshot import STATUSES, FilterRefused, LogsWanted, Snapshot, TaskWanted, Wanted, read_filter
from dtqs.console.task import task
from dtqs.readings import SystemLogRow

TABS = ("overview", "queue", "logs")
INPUT_LIMIT = 200
NOTICE_SECONDS = 10.0


class Screen:
    """The screen. `act` gets the action (cancel, retry) and the task id after a yes; None: read-only."""

    def __init__(self, act: Callable[[str, str], None] | None) -> None:
        self._act = act
        self.snapshot = Snapshot()
        self.tab, self.running = "overview", True
        self.opened: list[str] = []
        """Path of opened tasks; the last one is on the screen."""
        self.tasks, self.further, self.logs_wanted, self.follow = TaskWanted(), 0, LogsWanted(), True
        self.input: str | None = None
        self._refused = ""
        self.question: Question | None = None
        self.help = False
        self._held: tuple[SystemLogRow, ...] = ()
        self._places: dict[str, Place] = {}
        self._head: list[ScreenLine] = []
        self._lines = ViewLines()
        self._tabs_at: list[tuple[int, int, str]] = []
        self._room = 20
        self._notice_number, self._notice_until = -1, 0.0
        self._kept: dict[str, tuple[object, list[ScreenLine]]] = {}

    @property
    def view(self) -> str:
        """Name of the current view: a tab, help, or a task with its id."""
        return "help" if self.help else f"task {self.opened[-1]}" if self.opened else self.tab

    @property
    def place(self) -> Place:
        """Scroll position and selection of the current view."""
        return self._places.setdefault(self.view, Place())

    @property
    def wanted(self) -> Wanted:
        """The data that this screen needs from the reading thread."""
        return Wanted(
            self.tab,
            max(5, self._room),
            self.tasks,
            self.further,
            self.logs_wanted,
            self.opened[-1] if self.opened else None,
        )

    # --- drawing

    def frame(self, width: int, height: int, now: float | None = None) -> list[ScreenLine]:
        """Return the whole screen: exactly `height` lines of exactly `width` cells."""
        self._room = max(1, height - 2)
        now = time.time() if now is None else now
        whole = self._body(width, self.snapshot.database_time(now))
        pinned = 1 if self.view not in ("overview", "queue", "help") else 0
        self._head, self._lines = whole.shown(0, pinned), whole.below(pinned)
        self._room = max(1, self._room - pinned)
        place = self.place
        if self.view == "logs" and self.follow:
            place.scroll, place.selected = len(self._lines), None
        shown = place.visible(self._lines, self._room, width)
        shown += [ScreenLine()] * (self._room - len(shown))
        title, self._tabs_at = head(self.snapshot, TABS, self.tab, width)
        return [fit(each, width) for each in (title, *self._head, *shown, self._foot(width, now))][:height]

    def _body(self, width: int, now: float) -> ViewLines:
        if self.help:
            return ViewLines(help_lines(self._act is None))
        if self.opened:
            return ViewLines(task(self.snapshot, self.opened[-1], width, now, self._keep))
        if self.tab == "queue":
            return queue(self.snapshot, self.tasks, width, self._room, now)
        if self.tab == "logs":
            entries = self.snapshot.logs if self.follow else self._held
            return logs(self.snapshot, entries, self.logs_wanted, self.follow, width, now)
        return overview(self.snapshot, width, self._room, now)

    def _keep(self, part: str, value: object, write: Callable[[], Iterable[ScreenLine]]) -> list[ScreenLine]:
        """Cache the lines of a part of the open task: frames come several times per second."""
        if part not in self._kept or self._kept[part][0] != value:
            self._kept[part] = (value, list(write()))
        return self._kept[part][1]

    def _foot(self, width: int, now: float) -> ScreenLine:
        if self.question is not None:
            return question_line(self.question, width)
        if self.input is not None:
            return input_line(self.tab, self.input, self._refused)
        if self.snapshot.notice_number != self._notice_number:
            self._notice_number, self._notice_until = self.snapshot.notice_number, now + NOTICE_SECONDS
        if self.snapshot.notice and now < self._notice_until:
            return line(StyledText(f" {safe(self.snapshot.notice)}", "ask"))
        if self.snapshot.fault:
            return line(StyledText(f" ✗ {safe(self.snapshot.fault)}", "bad"))
        return foot(self.view.split()[0], self._act is None, width)

    # --- keys

    def press(self, key: str) -> None:
        """Handle a key: a character, up, down, pageup, pagedown, home, end, enter, escape, tab, backtab, backspace."""
        self._notice_until = 0.0
        if self.question is not None:
            self._answer(key)
        elif self.input is not None:
            self._type(key)
        elif not (self._press_anywhere(key) or self._move(key)):
            self._press_here(key)

    def _answer(self, key: str) -> None:
        question, self.question = self.question, None
        if key in ("y", "Y") and question is not None and self._act is not None:
            self._act(question.action, question.task_id)

    def _type(self, key: str) -> None:
        assert self.input is not None
        self._refused = ""
        if key == "enter":
            self._take_input(self.input.strip())
        elif key == "escape":
            self.input = None
        elif key == "backspace":
            self.input = self.input[:-1]
        elif len(key) == 1 and key.isprintable() and len(self.input) < INPUT_LIMIT:
            self.input += key

    def _take_input(self, text: str) -> None:
        if self.tab == "queue":
            try:
                self.tasks, self.further = read_filter(text), 0
            except FilterRefused as error:
                self._refused = str(error)
                return
        else:
            self.logs_wanted, self.follow = dataclasses.replace(self.logs_wanted, search=text), True
        self.input = None
        self._places.pop(self.tab, None)

    def _press_anywhere(self, key: str) -> bool:
        if key == "q":
            self.running = False
        elif key == "?":
            self.help = not self.help
        elif key == "escape":
            self._back()
        elif key in ("1", "2", "3"):
            self._show(TABS[int(key) - 1])
        elif key in ("tab", "backtab"):
            self._show(TABS[(TABS.index(self.tab) + (1 if key == "tab" else -1)) % len(TABS)])
        else:
            return False
        return True

    def _show(self, tab: str) -> None:
        self.tab, self.help = tab, False
        self.opened.clear()

    def _back(self) -> None:
        """Close the topmost of help, task and filter."""
        if self.help:
            self.help = False
        elif self.opened:
            self.opened.pop()
        elif self.tab == "queue":
            self.tasks, self.further = TaskWanted(), 0
        elif self.tab == "logs":
            self.logs_wanted, self.follow = LogsWanted(), True

    def _move(self, key: str) -> bool:
        if not (key in STEPS or key in PAGES or key in ENDS):
            return False
        self._hold()
        self.place.move(key, self._lines, self._room)
        return True

    def _hold(self) -> None:
        """Stop following the log: the lines must not move under the operator.

        During a search the snapshot has rows of the filter before, and the tab shows none.
        """
        if self.view == "logs" and self.follow and self.snapshot.logs_of == self.logs_wanted:
            self.follow, self._held = False, self.snapshot.logs

    def _press_here(self, key: str) -> None:
        selected = self.place.selected_task(self._lines)
        if key in ("enter", "c", "r") and self.place.selected is None and not (self.opened or self.help):
            self._move("down")  # select a line first: the second press acts on it
        elif key == "enter" and selected is not None:
            self.opened.append(selected)
        elif key in ("c", "r") and self._act is not None and (target := self.opened[-1] if self.opened else selected):
            self.question = Question("cancel" if key == "c" else "retry", target)
        elif self.opened or self.help:
            return
        elif self.tab == "queue":
            self._press_queue(key)
        elif self.tab == "logs":
            self._press_logs(key, selected)

    def _press_queue(self, key: str) -> None:
        if key == "/":
            self.input = self.tasks.text
        elif key == "s":
            choices = ("", *STATUSES)
            following = choices[(choices.index(self.tasks.status) + 1) % len(choices)]
            self.tasks, self.further = dataclasses.replace(self.tasks, status=following), 0
            self._places.pop("queue", None)
        elif key == "m" and self.tasks.text and self.snapshot.listing_more:
            self.further += 1

    def _press_logs(self, key: str, selected: str | None) -> None:
        wanted = self.logs_wanted
        if key == "/":
            self.input = wanted.search
        elif key == "f" and self.follow:
            self._hold()
        elif key == "f":
            self.follow = True
        elif key == "l":
            level = LEVELS[(LEVELS.index(wanted.level) + 1) % len(LEVELS)]
            self.logs_wanted, self.follow = dataclasses.replace(wanted, level=level), True
        elif key == "t" and (selected or wanted.task_id):
            task_id = "" if wanted.task_id else selected or ""
            self.logs_wanted, self.follow = dataclasses.replace(wanted, task_id=task_id), True

    # --- mouse

    def click(self, column: int, row: int) -> None:
        """Handle a click on a tab or a line. A click on the selected line opens its task."""
        if row == 0:
            for start, end, name in self._tabs_at:
                if start <= column < end:
                    self._show(name)
            return
        number = self.place.scroll + row - 1 - len(self._head)
        on_a_line = row <= self._room + len(self._head) and 0 <= number < len(self._lines)
        if not on_a_line or self.question is not None or self.input is not None:
            return
        chosen, place = self._lines.mark(number), self.place
        if chosen.key is not None and place.selected == chosen.key and chosen.task_id is not None:
            self.opened.append(chosen.task_id)
        elif chosen.key is not None:
            self._hold()
            place.selected = chosen.key

    def wheel(self, step: int) -> None:
        """Scroll three lines up or down."""
        self._hold()
        self.place.scroll_by(3 * step, self._lines, self._room)
