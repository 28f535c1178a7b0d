"""The terminal: npyscreen draws the lines of the screen and tells it of keys, clicks and a new size. The only code here that knows curses."""

import curses
import os
from contextlib import suppress
from typing import Any

import npyscreen

from dtqs.console.feed import ConsoleFeed
from dtqs.console.screen import Screen

_TENTHS = 2
"""Between two looks for something new, in tenths of a second."""
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
"""Each style's colour and attributes. Nothing is told by colour alone."""
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
_PAIRS_FROM = 20
"""npyscreen's theme has the pairs below."""
_WHEEL_UP, _WHEEL_DOWN = curses.BUTTON4_PRESSED, getattr(curses, "BUTTON5_PRESSED", 1 << 21)
_CLICKS = curses.BUTTON1_PRESSED | curses.BUTTON1_CLICKED | curses.BUTTON1_DOUBLE_CLICKED


class Canvas(npyscreen.wgwidget.Widget):  # type: ignore[misc]
    """One widget as large as the terminal: the whole screen."""

    def __init__(self, form: Any, screen: Screen, feed: ConsoleFeed, **keywords: Any) -> None:
        self._screen, self._feed = screen, feed
        self._attributes, self._size = _attributes(), os.get_terminal_size(1)
        super().__init__(form, **keywords)

    def update(self, clear: bool = True) -> None:
        """Draw what is known; nothing here waits for a server."""
        self._screen.snapshot = self._feed.snapshot
        pad = self.parent.curses_pad
        height, width = pad.getmaxyx()
        pad.erase()
        for row, line in enumerate(self._screen.frame(width, height)):
            self._draw(pad, row, line.spans)
        self._feed.want(self._screen.wanted)

    def _draw(self, pad: Any, row: int, spans: Any) -> None:
        with suppress(curses.error):  # the cursor has no place after the last cell of the screen
            pad.move(row, 0)
            for span in spans:
                pad.addstr(span.text, self._attributes.get(span.style, 0))

    def handle_input(self, _input: Any) -> bool:
        if _input == curses.KEY_RESIZE:
            self.parent._resize()
        elif _input == curses.KEY_MOUSE:
            self._mouse()
        elif (
            key := _input
            if isinstance(_input, str)
            else _KEYS.get(_input) or (chr(_input) if 32 <= _input < 127 else None)
        ):
            self._screen.press(key)
        if not self._screen.running:
            self.editing = self.parent.editing = False
            self.parent.parentApp.setNextForm(None)
        return True

    def _get_ch(self) -> Any:
        # the size is looked at as well, since the key that tells of a resize can be lost behind others
        size = os.get_terminal_size(1)
        if size != self._size:
            self._size = size
            curses.resizeterm(size.lines, size.columns)
            return curses.KEY_RESIZE
        with suppress(UnicodeDecodeError, ValueError):  # bytes that are no character
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
    """A form without a frame that is always as large as the terminal."""

    BLANK_LINES_BASE = BLANK_COLUMNS_RIGHT = 0
    DEFAULT_NEXTRELY = DEFAULT_X_OFFSET = 0
    FIX_MINIMUM_SIZE_WHEN_CREATED = False

    def _max_physical(self) -> tuple[int, int]:
        # npyscreen asks standard error, which may be a file
        size = os.get_terminal_size(1)
        return size.lines - 1, size.columns - 1


class Console(npyscreen.NPSAppManaged):  # type: ignore[misc]
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
    """Show the screen until it is left."""
    os.environ.setdefault("ESCDELAY", "25")
    Console(screen, feed).run()


def _attributes() -> dict[str, int]:
    """Return what curses is to be told for each style, with the terminal's own background where it allows that."""
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
