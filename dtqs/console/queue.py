"""The Queue tab: the next tasks and the later ones, or the tasks that match a filter; pure."""

from collections.abc import Iterator, Sequence

from dtqs.amounts import age, clock, moment
from dtqs.console.formats import cut_marks, short_id
from dtqs.console.lines import WIDE, ScreenLine, StyledText, line, pad, safe, title, typed
from dtqs.console.rows import RowMark, Rows, ViewLines
from dtqs.console.snapshot import Snapshot, TaskWanted
from dtqs.readings import QueuedTask
from dtqs.task import TaskRecord

STATUS_STYLES = {"completed": "good", "failed": "bad", "cancelled": "warn", "in_progress": "busy", "pending": ""}


def queue(snapshot: Snapshot, wanted: TaskWanted, width: int, height: int, now: float) -> ViewLines:
    """Return the lines of the tab."""
    if wanted.text:
        lines = _matching(snapshot, wanted, width, now)
    elif snapshot.good is None:
        return ViewLines([line(StyledText(" Reading PostgreSQL …", "dim"))])
    else:
        lines = ViewLines(list(_coming(snapshot, width, height, now)))
    return lines.restyled("dim") if snapshot.stale else lines


def _coming(snapshot: Snapshot, width: int, height: int, now: float) -> Iterator[ScreenLine]:
    good = snapshot.good
    assert good is not None
    depth, following, later = good.depth, good.next_tasks or (), good.later_tasks or ()
    more, more_later = cut_marks(depth) if depth else ("", "")
    # Later tasks take at most a third of the tab: the next tasks matter more.
    room = max(5, height - 4 - min(len(later), max(2, (height - 4) // 3)))
    partly = " (counted in part)" if more else ""
    yield title("Next", width, f"{depth.pending:,}{more} pending, by priority and time{partly}" if depth else "")
    yield _head(width, "due for")
    yield from _queued(following[:room], width, now, "no pending tasks")
    yield title("Later", width, f"{depth.later:,}{more_later} scheduled or waiting for a retry" if depth else "")
    yield from _queued(later, width, now, "no tasks are scheduled or waiting for a retry")


def _head(width: int, last: str) -> ScreenLine:
    identity = 36 if width >= WIDE else 13
    return line(
        StyledText(f" {pad('id', identity)} {pad('type', 14 if width >= WIDE else 10)} pri  ", "head"),
        StyledText(f"{pad('submitted', 12)} {pad(last, 9)} tags", "head"),
    )


def _queued(tasks: Sequence[QueuedTask], width: int, now: float, if_empty: str) -> Iterator[ScreenLine]:
    if not tasks:
        yield line(StyledText(f" {if_empty}", "dim"))
    for task in tasks:
        identity = short_id(task.task_id, 36 if width >= WIDE else 13)
        gap = now - moment(task.due_at)
        when = age(max(0.0, gap)) if task.due else f"in {age(max(0.0, -gap))}"
        reason = "" if task.due else "retry " if task.attempts else "scheduled "
        attempts = f"attempt {task.attempts + 1} " if task.attempts else ""
        yield line(
            f" {identity} {pad(safe(task.task_type), 14 if width >= WIDE else 10)}",
            StyledText(f"  {task.priority}  ", "bold"),
            f"{pad(clock(task.submitted_at, now), 12)} ",
            StyledText(pad(when, 10), "busy" if task.due else "dim"),
            StyledText(f"{reason}{attempts}", "warn" if task.attempts else "dim"),
            tagged(task.tags),
            key=task.task_id,
            task_id=task.task_id,
        )


def _matching(snapshot: Snapshot, wanted: TaskWanted, width: int, now: float) -> ViewLines:
    records = snapshot.listing if snapshot.listing_of == wanted else ()
    rows = Rows(
        records,
        lambda record: _record(record, width, now),
        lambda record: RowMark(record.task_id, record.task_id),
    )
    return ViewLines(list(_found(snapshot, wanted, width)), rows)


def _found(snapshot: Snapshot, wanted: TaskWanted, width: int) -> Iterator[ScreenLine]:
    """Write the lines above the tasks."""
    if snapshot.listing_of != wanted:
        yield title("Tasks", width, typed(wanted.text))
        yield line(
            StyledText(f" ✗ {safe(snapshot.fault)}", "bad") if snapshot.fault else StyledText(" Searching …", "dim")
        )
        return
    found = f"{len(snapshot.listing)} found, newest first" + (", m searches further" if snapshot.listing_more else "")
    yield title("Tasks", width, f"{typed(wanted.text)} · {found}")
    if not snapshot.listing:
        yield line(
            StyledText(
                " No match so far; m searches older tasks."
                if snapshot.listing_more
                else " No task matches. Esc clears the filter.",
                "dim",
            )
        )


def _record(record: TaskRecord, width: int, now: float) -> ScreenLine:
    wide = width >= WIDE
    status = StyledText(pad(record.status, 12), STATUS_STYLES.get(record.status, ""))
    error = record.error.get("message") if isinstance(record.error, dict) and record.status != "completed" else None
    return line(
        f" {short_id(record.task_id, 36 if wide else 13)} ",
        status,
        f"{pad(safe(record.task_type), 14 if wide else 10)}",
        StyledText(f"  {record.priority}  ", "bold"),
        f"{pad(clock(record.created_at, now), 12)} ",
        StyledText(f"{record.attempt}/{record.max_retries + 1} ", "dim"),
        f"{tagged(record.tags)} {safe(error or '')}",
        key=record.task_id,
        task_id=record.task_id,
    )


def tagged(tags: Sequence[str]) -> str:
    """Write tags, each with its hash sign."""
    return safe(" ".join(f"#{tag}" for tag in tags))
