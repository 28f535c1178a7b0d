"""The Logs tab: the newest log rows of all tasks, the newest at the bottom; pure."""

from collections.abc import Sequence

from dtqs.amounts import clock
from dtqs.console.formats import short_id
from dtqs.console.lines import WIDE, ScreenLine, StyledText, line, pad, safe, title, typed
from dtqs.console.rows import RowMark, Rows, ViewLines
from dtqs.console.snapshot import LogsWanted, Snapshot
from dtqs.event import LEVELS as ROW_LEVELS
from dtqs.masking import masked
from dtqs.readings import SystemLogRow

LEVELS = ("", *ROW_LEVELS[1:])
"""Minimum levels to choose from; the empty one shows all rows."""
_LEVEL_STYLES = {"error": "bad", "warning": "warn", "debug": "dim"}
_EVENT_STYLES = {"completed": "good", "failed": "bad", "cancelled": "warn", "in_progress": "busy", "progress": "dim"}


def logs(
    snapshot: Snapshot, entries: Sequence[SystemLogRow], wanted: LogsWanted, follow: bool, width: int, now: float
) -> ViewLines:
    """Return the lines of the tab. `entries` come from the snapshot, or from the moment when following stopped."""
    notes = [
        f"level {wanted.level} and above" if wanted.level else "",
        f"task {short_id(wanted.task_id, 13)}" if wanted.task_id else "",
    ]
    notes += [
        f"matching “{typed(wanted.search)}”" if wanted.search else "",
        "following" if follow else "held: f follows",
    ]
    head = title("Log", width, ", ".join(filter(None, notes)))
    if snapshot.logs_of != wanted:
        return ViewLines([head, line(StyledText(" Searching …", "dim"))])
    if not entries:
        empty = " The log is empty." if wanted == LogsWanted() else " No recent log row matches. Esc clears the filter."
        return ViewLines([head, line(StyledText(empty, "dim"))])
    rows = log_rows(entries, width, now)
    return ViewLines([head], rows.restyled("dim") if snapshot.stale else rows)


def log_rows(entries: Sequence[SystemLogRow], width: int, now: float) -> Rows:
    """Return log rows as lines that can be selected and opened."""
    return Rows(
        entries,
        lambda entry: log_line(entry, width, now),
        lambda entry: RowMark(str(entry.log_id), entry.task_id),
    )


def log_line(entry: SystemLogRow, width: int, now: float) -> ScreenLine:
    """Write one log row as a line that can be selected and opened."""
    wide = width >= WIDE
    spans: list[str | StyledText] = [
        f" {pad(clock(entry.at, now), 11 if wide else 9)}",
        StyledText(f"{pad(entry.level, 8)}", _LEVEL_STYLES.get(entry.level, "dim")),
    ]
    spans += [
        f"{pad(safe(entry.task_type or '-'), 14 if wide else 8)} ",
        StyledText(f"{short_id(entry.task_id, 36 if wide else 13)} ", "dim"),
    ]
    spans += [event_span(entry.event, entry.level), log_text(entry.event, entry.attempt, entry.message, entry.data)]
    return line(*spans, key=str(entry.log_id), task_id=entry.task_id)


def event_span(event: str, level: str) -> StyledText:
    """Write the event. A pending task was given back, or failed and waits for a retry (a warning)."""
    if event == "pending":
        return StyledText(
            pad("retrying" if level == "warning" else "given back", 12), "warn" if level == "warning" else ""
        )
    return StyledText(pad(event, 12), _EVENT_STYLES.get(event, ""))


def log_text(event: str, attempt: int | None, message: str | None, data: object) -> str:
    """Write the attempt, message and data of a log row."""
    parts = [f"attempt {attempt}" if attempt and attempt > 1 else "", safe(message or "")]
    if event == "progress" and isinstance(data, dict):
        fraction = data.get("fraction")
        parts = [f"{fraction:.0%}" if isinstance(fraction, int | float) else "", safe(data.get("message") or "")]
    elif isinstance(data, dict) and data.get("message") == message:
        parts.append("")
    elif data is not None:
        parts.append(safe(masked(data)))
    return " ".join(filter(None, parts))
