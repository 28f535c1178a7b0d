"""The keys, as the foot of the screen and the help page show them."""

from dtqs.console.lines import ScreenLine, StyledText, cells, line

_ALWAYS = (("?", "help"), ("q", "quit"))
_KEYS = {
    "overview": (("1 2 3", "tabs"), ("↑↓", "select"), ("⏎", "open"), ("c", "cancel"), ("r", "retry")),
    "queue": (
        ("/", "filter"),
        ("s", "status"),
        ("m", "more"),
        ("esc", "all"),
        ("↑↓", "select"),
        ("⏎", "open"),
        ("c", "cancel"),
        ("r", "retry"),
    ),
    "logs": (("f", "follow"), ("l", "level"), ("t", "this task"), ("/", "search"), ("esc", "all"), ("⏎", "open")),
    "task": (("esc", "back"), ("↑↓", "scroll"), ("c", "cancel"), ("r", "retry")),
    "help": (("esc", "back"), ("↑↓", "scroll")),
}
_CHANGES = {"c", "r"}
_KNOWN_BEST = ("1 2 3", "↑↓", "esc", "s", "m", "t", "l", "⏎", "/")
_HELP = """
 Tabs     1 Overview  is it healthy, what is it doing, what failed and why
          2 Queue     which tasks come next, and which later
          3 Logs      what happened last, of all tasks
          Tab and Shift-Tab go round; a click works too.

 Move     ↑ ↓ or j k  select a line        Enter  open its task
          PgUp PgDn   a page               g G    first, last line (Home, End)
          Esc         back: leaves this help, a task, then a filter

 Queue    /           filter: status:failed type:email tag:x id:01a2
          s           the next status: pending, in_progress, completed, …
          m           look further back for tasks that match

 Logs     f           follow, or hold      l      least level
          t           only the selected line's task, or all again
          /           search in messages, data and ids
"""
_ACTIONS = """
 Actions  c           cancel the selected or shown task (asks first)
          r           retry a failed or cancelled one: submits it anew (asks)
"""
_SIGNS = """
 Signs    ✗           what is wrong stands on top, in words
          grey        from before: the server that told it is away
          12+         at least: only so much of a long backlog is looked at
          ✓12 ✗3      a worker's tasks: completed, failed
"""


def foot(view: str, read_only: bool, width: int) -> ScreenLine:
    """Return the keys of a view in one line; where it is too narrow for all, without those that are known best."""
    keys = [(key, what) for key, what in (*_ALWAYS, *_KEYS[view]) if not (read_only and key in _CHANGES)]
    for known in _KNOWN_BEST:
        if sum(cells(f"  {key} {what}") for key, what in keys) < width:
            break
        keys = [(key, what) for key, what in keys if key != known]
    words = [
        span for key, what in keys for span in (StyledText("  "), StyledText(key, "key"), StyledText(f" {what}", "dim"))
    ]
    return ScreenLine((StyledText(" "), *words[1:]))


def help_lines(read_only: bool) -> list[ScreenLine]:
    """Return the help page."""
    text = _HELP + ("" if read_only else _ACTIONS) + _SIGNS
    return [line(row) for row in text.split("\n")]
