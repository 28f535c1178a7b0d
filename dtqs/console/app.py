"""The terminal: npyscreen draws the lines of the screen and passes keys, clicks and resizes to it.

Only this module of the console uses curses.
"""

import curses
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import npyscreen

from dtqs.console.feed import ConsoleFeed
from dtqs.console.screen import Screen

_TENTHS = 2
"""Time between two redraws without a key, in tenths of a second."""
_LOOKS = {
    "bold": ("normal", curses.A_BOLD),
    "dim": ("normal", curses.A_DIM),
    "head": ("cyan", 0),
    "key": ("cyan", curses.A_BOLD),
    "good": ("green", 0),
    "bad": ("red", curses.A_BOLD),
    "warn": ("yellow", 0),
    "busy": ("cyan", 0),
    "ask": ("yellow", curses.A_REVERSE | curses.A_BOLD),
    "selected": ("normal", curses.A_REVERSE),
    "title": ("normal", curses.A_REVERSE),
    "title-good": ("green", curses.A_REVERSE),
    "title-bad": ("red", curses.A_REVERSE | curses.A_BOLD),
    "tab": ("normal", curses.A_BOLD),
}
"""Colour and attributes of each style. Colour never carries a meaning alone."""
_COLORS = {
    "green": curses.COLOR_GREEN,
    "red": curses.COLOR_RED,
    "yellow": curses.COLOR_YELLOW,
    "cyan": curses.COLOR_CYAN,
}
_KEYS = {
    curses.KEY_UP: "up",
    curses.KEY_DOWN: "down",
    curses.KEY_PPAGE: "pageup",
    curses.KEY_NPAGE: "pagedown",
    curses.KEY_HOME: "home",
    curses.KEY_END: "end",
    curses.KEY_BTAB: "backtab",
    curses.KEY_BACKSPACE: "backspace",
    curses.KEY_ENTER: "enter",
    8: "backspace",
    9: "tab",
    10: "enter",
    13: "enter",
    27: "escape",
    127: "backspace",
}
_CTRL_L = 12
"""Repaints the screen, as in other programs on a terminal."""
_ALT = 0x80
"""npyscreen merges Escape with a key that follows at once into that key's code plus this bit."""
_REPAINT_SECONDS = 1.0
_PAIRS_FROM = 20
"""npyscreen's theme uses the lower colour pairs."""
_WHEEL_UP, _WHEEL_DOWN = curses.BUTTON4_PRESSED, getattr(curses, "BUTTON5_PRESSED", 1 << 21)
_CLICKS = curses.BUTTON1_PRESSED | curses.BUTTON1_CLICKED | curses.BUTTON1_DOUBLE_CLICKED


class Canvas(npyscreen.wgwidget.Widget):  # type: ignore[misc]
    """One widget that fills the terminal."""

    def __init__(self, form: Any, screen: Screen, feed: ConsoleFeed, **keywords: Any) -> None:
        self._screen, self._feed = screen, feed
        self._attributes, self._size = _attributes(), os.get_terminal_size(1)
        self._repaint_at: list[float] = []
        super().__init__(form, **keywords)

    def update(self, clear: bool = True) -> None:
        """Draw the newest snapshot. Nothing here waits for a server."""
        self._screen.snapshot = self._feed.snapshot
        pad = self.parent.curses_pad
        height, width = pad.getmaxyx()
        pad.erase()
        if self._repaint_at and time.monotonic() >= self._repaint_at[0]:
            self._repaint_at.pop(0)
            pad.clearok(True)
        for row, line in enumerate(self._screen.frame(width, height)):
            self._draw(pad, row, line.spans)
        self._feed.want(self._screen.wanted)

    def _draw(self, pad: Any, row: int, spans: Any) -> None:
        with suppress(curses.error):  # the cursor cannot move past the last cell
            pad.move(row, 0)
            for span in spans:
                pad.addstr(span.text, self._attributes.get(span.style, 0))

    def handle_input(self, _input: Any) -> bool:
        if _input == curses.KEY_RESIZE:
            self._repaint()
            self.parent._resize()
        elif _input == _CTRL_L:
            self._repaint()
        elif _input == curses.KEY_MOUSE:
            self._mouse()
        else:
            for key in keys_of(_input):
                self._screen.press(key)
        if not self._screen.running:
            self.editing = self.parent.editing = False
            self.parent.parentApp.setNextForm(None)
        return True

    def _repaint(self) -> None:
        """Clear and draw the whole screen now, and once more when the terminal has settled.

        curses sends only changed cells. During a resize the terminal may move or drop cells that curses regards
        as drawn.
        """
        now = time.monotonic()
        self._repaint_at = [now, now + _REPAINT_SECONDS]

    def _get_ch(self) -> Any:
        # Compare the size as well: the resize key can be lost among other keys.
        size = os.get_terminal_size(1)
        if size != self._size:
            self._size = size
            curses.resizeterm(size.lines, size.columns)
            return curses.KEY_RESIZE
        with suppress(UnicodeDecodeError, ValueError):  # invalid UTF-8
            return super()._get_ch()
        return -1

    def _mouse(self) -> None:
        event = self.parent.safe_get_mouse_event()
        if event is None:
            return
        _, column, row, _, buttons = event
        if buttons & (_WHEEL_UP | _WHEEL_DOWN):
            self._screen.wheel(-1 if buttons & _WHEEL_UP else 1)
        elif buttons & _CLICKS:
            self._screen.click(column, row)


class Whole(npyscreen.FormBaseNew):  # type: ignore[misc]
    """A form without a frame that always fills the terminal."""

    BLANK_LINES_BASE = BLANK_COLUMNS_RIGHT = 0
    DEFAULT_NEXTRELY = DEFAULT_X_OFFSET = 0
    FIX_MINIMUM_SIZE_WHEN_CREATED = False

    def _max_physical(self) -> tuple[int, int]:
        # npyscreen asks standard error, which may be a file.
        size = os.get_terminal_size(1)
        return size.lines - 1, size.columns - 1


class Console(npyscreen.NPSAppManaged):  # type: ignore[misc]
    """The npyscreen application: one form with one canvas."""

    keypress_timeout_default = _TENTHS

    def __init__(self, screen: Screen, feed: ConsoleFeed) -> None:
        super().__init__()
        self._parts = screen, feed

    def onStart(self) -> None:
        curses.mousemask(_CLICKS | _WHEEL_UP | _WHEEL_DOWN)
        curses.mouseinterval(0)
        form = self.addForm("MAIN", Whole, framed=False, minimum_lines=4, minimum_columns=20)
        form.add(Canvas, screen=self._parts[0], feed=self._parts[1])


def show(screen: Screen, feed: ConsoleFeed) -> None:
    """Show the screen until the operator quits."""
    os.environ.setdefault("ESCDELAY", "25")
    with _stderr_discarded():
        Console(screen, feed).run()


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    """Discard standard error: a warning or a thread's traceback would scroll the terminal behind curses' back."""
    sys.stderr.flush()
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def keys_of(pressed: int | str) -> list[str]:
    """Return the names of the keys in one input from npyscreen."""
    if isinstance(pressed, str):
        return [pressed]
    if _ALT <= pressed < 2 * _ALT:
        return ["escape", *keys_of(pressed - _ALT)]
    key = _KEYS.get(pressed) or (chr(pressed) if 32 <= pressed < 127 else None)
    return [key] if key else []


def _attributes() -> dict[str, int]:
    """Return the curses attributes of each style, on the terminal's own background if possible."""
    background = -1
    try:
        curses.use_default_colors()
    except curses.error:
        background = curses.COLOR_BLACK
    pairs = {"normal": 0}
    if curses.has_colors():
        for number, (name, color) in enumerate(_COLORS.items(), _PAIRS_FROM):
            with suppress(curses.error):
                curses.init_pair(number, color, background)
                pairs[name] = curses.color_pair(number)
    return {style: pairs.get(color, 0) | attributes for style, (color, attributes) in _LOOKS.items()}
