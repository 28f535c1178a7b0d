"""The view of one task: status, attempts with errors, payload, result, files and log, secrets masked; pure."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson

from dtqs.amounts import age, clock, moment, seconds, size
from dtqs.console.lines import ScreenLine, StyledText, bar, cells, line, pad, paragraph, safe, title, wrapped
from dtqs.console.logs import event_span, log_text
from dtqs.console.queue import STATUS_STYLES
from dtqs.console.snapshot import Detail, Snapshot
from dtqs.json_value import dumps
from dtqs.masking import masked
from dtqs.readings import SystemLogRow
from dtqs.task import TaskRecord

_JSON_LINES = 200
_LOG_LINES = 300
_END_CELLS = 23
"""Width of the end of an attempt, such as "failed, retried later"."""
_ENDS = ("completed", "failed", "cancelled", "pending")


Keep = Callable[[str, object, Callable[[], Iterable[ScreenLine]]], Sequence[ScreenLine]]
"""Returns the lines of a part: those of the last call with the same name and value, else new ones."""


def task(snapshot: Snapshot, task_id: str, width: int, now: float, keep: Keep) -> list[ScreenLine]:
    """Return the lines of the view. `keep` spares the slow parts, whose values are large and seldom change."""
    detail = snapshot.detail
    if detail is None or detail.task_id != task_id:
        return [title(f"Task {task_id}", width), line(StyledText(" Reading …", "dim"))]
    if detail.record is None:
        return [
            title(f"Task {task_id}", width),
            line(StyledText(" No such task: the id is unknown, or the task has been deleted.", "bad")),
        ]
    record = detail.record
    logs = detail.logs, width, now // 60  # the date of a time is shown from the next day on
    return [
        *_facts(record, width, now),
        *keep("attempts", logs, lambda: _attempts(detail, width, now)),
        *keep("values", (record, width), lambda: _values(record, width)),
        *keep("log", logs, lambda: _log(detail.logs, width, now)),
    ]


def _facts(record: TaskRecord, width: int, now: float) -> Iterator[ScreenLine]:
    yield title(f"Task {record.task_id}", width, safe(record.task_type))
    attempt = f"attempt {record.attempt} of {record.max_retries + 1}" if record.attempt else "not started"
    yield line(
        " ",
        StyledText(record.status, STATUS_STYLES.get(record.status) or "bold"),
        f"   {attempt}   priority {record.priority}   ",
        safe(" ".join(f"#{tag}" for tag in record.tags)),
    )
    yield line(f" {_times(record, now)}")
    if record.retry_of:
        yield line(
            " a retry of ", StyledText(record.retry_of, "key"), key=f"of {record.retry_of}", task_id=record.retry_of
        )
    if record.request_id:
        yield line(f" request {safe(record.request_id)}")
    progress = record.progress if isinstance(record.progress, dict) else {}
    fraction = progress.get("fraction")
    if record.status == "in_progress" and isinstance(fraction, int | float):
        yield line(
            " ",
            StyledText(bar(fraction, min(40, width // 2)), "busy"),
            f" {fraction:.0%} {safe(progress.get('message') or '')}",
        )


def _times(record: TaskRecord, now: float) -> str:
    times = [f"submitted {clock(record.created_at, now)}"]
    if record.due_at and record.status == "pending" and (left := moment(record.due_at) - now) > 0:
        times.append(f"due in {age(left)}")
    if record.started_at and record.status != "pending":
        end = moment(record.finished_at) if record.finished_at else now
        times += [
            f"started {clock(record.started_at, now)}",
            f"{'ran' if record.finished_at else 'running for'} {seconds(max(0.0, end - moment(record.started_at)))}",
        ]
    if record.finished_at:
        times.append(f"ended {clock(record.finished_at, now)}")
    return "   ".join(times)


def _attempts(detail: Detail, width: int, now: float) -> Iterator[ScreenLine]:
    ended = [row for row in detail.logs if row.event in _ENDS and row.attempt]
    if not ended or (len(ended) == 1 and ended[0].event == "completed"):
        return
    yield title("Attempts", width)
    for row in ended:
        retried = row.level == "warning"
        end = {"pending": "failed, retried later" if retried else "given back"}.get(row.event, row.event)
        style = "bad" if row.event == "failed" else "warn" if retried else STATUS_STYLES.get(row.event, "")
        kind = row.data.get("type") if isinstance(row.data, dict) else None
        head = f" {row.attempt:>3}  {pad(clock(row.at, now), 12)}"
        reason = (f"{safe(kind)}: " if kind else "") + safe(row.message or "")
        if cells(reason) <= width - cells(head) - _END_CELLS:
            yield line(head, StyledText(pad(end, _END_CELLS), style), reason)
        else:
            yield line(head, StyledText(end, style))
            yield from (line(f"        {part}") for part in paragraph(reason, max(20, width - 9)))
        yield from _traceback(row, width)


def _traceback(row: SystemLogRow, width: int) -> Iterator[ScreenLine]:
    trace = row.data.get("traceback") if isinstance(row.data, dict) else None
    if isinstance(trace, str) and row.event == "failed":
        for part in trace.rstrip().split("\n")[-8:]:
            yield from (
                line(StyledText(f"        {piece}", "dim")) for piece in wrapped(safe(part), max(20, width - 9))
            )


def _values(record: TaskRecord, width: int) -> Iterator[ScreenLine]:
    """Write payload, error, files and result."""
    yield title("Payload", width)
    yield from _json(record.payload, width)
    if record.error is not None and record.status not in ("completed", "failed"):
        yield title("Last error", width)
        yield from _json(record.error, width)
    outputs = record.result.get("outputs") if isinstance(record.result, dict) else None
    if isinstance(outputs, list) and outputs and all(isinstance(each, dict) and "uri" in each for each in outputs):
        yield title("Files", width)
        yield from (_output(each) for each in outputs)
    elif record.result is not None:
        yield title("Result", width)
        yield from _json(record.result, width)


def _output(output: dict[str, Any]) -> ScreenLine:
    size_bytes = output.get("size_bytes")
    pixels = f"{output.get('width')} × {output.get('height')}" if output.get("width") else ""
    columns = [
        pad(safe(output.get("name") or "-"), 24),
        pad(pixels, 14),
        f"{size(size_bytes) if isinstance(size_bytes, int) else '-':>9}",
        safe(output.get("media_type") or ""),
    ]
    return line(" " + " ".join(columns) + "  ", StyledText(safe(output["uri"]), "dim"))


def _json(value: Any, width: int) -> Iterator[ScreenLine]:
    text = dumps(masked(value), orjson.OPT_INDENT_2, str).decode()
    rows = (piece for row in text.split("\n") for piece in wrapped(safe(row), max(10, width - 2)))
    shown = list(itertools.islice(rows, _JSON_LINES + 1))
    yield from (line(f" {row}") for row in shown[:_JSON_LINES])
    if len(shown) > _JSON_LINES:
        yield line(StyledText(" … the rest is not shown", "dim"))


def _log(rows: Sequence[SystemLogRow], width: int, now: float) -> Iterator[ScreenLine]:
    yield title("Log", width, "" if rows else "empty")
    # Show only the last of consecutive progress rows: the others are outdated.
    shown = [
        row
        for row, after in zip(rows, (*rows[1:], None), strict=False)
        if row.event != "progress" or after is None or after.event != "progress"
    ]
    for row in shown[-_LOG_LINES:]:
        level = StyledText(pad(row.level, 8), "bad" if row.level == "error" else "dim")
        head = line(f" {pad(clock(row.at, now), 12)}", level, event_span(row.event, row.level))
        first, *rest = paragraph(
            log_text(row.event, row.attempt, row.message, row.data), max(20, width - cells(head.text) - 1)
        )
        yield line(*head.spans, first)
        yield from (line(" " * cells(head.text), part) for part in rest)
