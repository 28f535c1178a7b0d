"""The Logs tab: what happened last, of all tasks, oldest first as in a file that grows; pure."""

from collections.abc import Sequence

from dtqs.console.lines import WIDE, ScreenLine, StyledText, line, pad, restyled, safe, title, typed
from dtqs.console.snapshot import LogsWanted, Snapshot
from dtqs.console.words import clock, short_id
from dtqs.event import LEVELS as ROW_LEVELS
from dtqs.masking import masked
from dtqs.readings import SystemLogRow

LEVELS = ("", *ROW_LEVELS[1:])
"""Those that are offered: none, which is all, and the higher ones."""
_LEVEL_STYLES = {"error": "bad", "warning": "warn", "debug": "dim"}
_EVENT_STYLES = {"completed": "good", "failed": "bad", "cancelled": "warn", "in_progress": "busy", "progress": "dim"}


def logs(
    snapshot: Snapshot, entries: Sequence[SystemLogRow], wanted: LogsWanted, follow: bool, width: int, now: float
) -> list[ScreenLine]:
    """Return the lines of the tab; `entries` are the snapshot's, or what was held when following ended."""
    words = [
        f"level {wanted.level} and above" if wanted.level else "",
        f"task {short_id(wanted.task_id, 13)}" if wanted.task_id else "",
    ]
    words += [f"with “{typed(wanted.search)}”" if wanted.search else "", "following" if follow else "held: f follows"]
    head = title("Log", width, ", ".join(filter(None, words)))
    if snapshot.logs_of != wanted:
        return [head, line(StyledText(" Looking …", "dim"))]
    rows = [log_line(entry, width, now) for entry in entries]
    if not rows:
        rows = [
            line(
                StyledText(
                    " No such line among the newest." if wanted != LogsWanted() else " Nothing has happened yet.", "dim"
                )
            )
        ]
    return [head, *([restyled(row, "dim") for row in rows] if snapshot.stale else rows)]


def log_line(entry: SystemLogRow, width: int, now: float) -> ScreenLine:
    wide = width >= WIDE
    spans: list[str | StyledText] = [
        f" {pad(clock(entry.at, now), 11 if wide else 9)}",
        StyledText(f"{pad(entry.level, 8)}", _LEVEL_STYLES.get(entry.level, "dim")),
    ]
    spans += [
        f"{pad(safe(entry.task_type or '-'), 14 if wide else 8)} ",
        StyledText(f"{short_id(entry.task_id, 36 if wide else 13)} ", "dim"),
    ]
    spans += [event_span(entry.event, entry.level), said(entry.event, entry.attempt, entry.message, entry.data)]
    return line(*spans, key=str(entry.log_id), task_id=entry.task_id)


def event_span(event: str, level: str) -> StyledText:
    """Write what happened; a task that is pending again was given back, or failed and will be retried."""
    if event == "pending":
        return StyledText(
            pad("will retry" if level == "warning" else "given back", 12), "warn" if level == "warning" else ""
        )
    return StyledText(pad(event, 12), _EVENT_STYLES.get(event, ""))


def said(event: str, attempt: int | None, message: str | None, data: object) -> str:
    """Write what a log row says beside its event."""
    words = [f"attempt {attempt}" if attempt and attempt > 1 else "", safe(message or "")]
    if event == "progress" and isinstance(data, dict):
        fraction = data.get("fraction")
        words = [f"{fraction:.0%}" if isinstance(fraction, int | float) else "", safe(data.get("message") or "")]
    elif isinstance(data, dict) and data.get("message") == message:
        words.append("")
    elif data is not None:
        words.append(safe(masked(data)))
    return " ".join(filter(None, words))
