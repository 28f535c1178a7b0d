"""The keys, for the bottom line and the help page; pure."""

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
 Tabs     1 Overview  health, rates, backlog, recent failures, workers
          2 Queue     the next tasks and the later ones
          3 Logs      the newest log rows of all tasks
          Tab, Shift-Tab and a click change tabs too.

 Move     ↑ ↓ or j k  select a line        Enter  open its task
          PgUp PgDn   one page             g G    first, last line (Home, End)
          Esc         back: close the help, then the task, then the filter
          Ctrl-L      repaint the screen

 Queue    /           filter: status:failed type:email tag:x id:01a2
          s           next status: pending, in_progress, completed, …
          m           search older tasks for more matches

 Logs     f           follow or hold       l      minimum level
          t           only the selected task, or all tasks again
          /           search messages, data and ids
"""
_ACTIONS = """
 Actions  c           cancel the selected or open task (asks first)
          r           retry a failed or cancelled task as a new task (asks)
"""
_SIGNS = """
 Signs    ✗           an alarm: the top of the Overview explains it
          grey        old data: PostgreSQL is away
          12+         at least 12: a long backlog is counted in part
          ✓12 ✗3      tasks of a worker: completed, failed
"""


def foot(view: str, read_only: bool, width: int) -> ScreenLine:
    """Return the keys of a view in one line. A narrow line leaves out the best-known keys."""
    keys = [(key, label) for key, label in (*_ALWAYS, *_KEYS[view]) if not (read_only and key in _CHANGES)]
    for known in _KNOWN_BEST:
        if sum(cells(f"  {key} {label}") for key, label in keys) < width:
            break
        keys = [(key, label) for key, label in keys if key != known]
    spans = [
        span
        for key, label in keys
        for span in (StyledText("  "), StyledText(key, "key"), StyledText(f" {label}", "dim"))
    ]
    return ScreenLine((StyledText(" "), *spans[1:]))


def help_lines(read_only: bool) -> list[ScreenLine]:
    """Return the help page."""
    text = _HELP + ("" if read_only else _ACTIONS) + _SIGNS
    return [line(row) for row in text.split("\n")]
