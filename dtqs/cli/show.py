"""Show tasks, their results and their logs as text and tables, from the JSON of the API."""

from collections.abc import Sequence
from typing import Any

import click

from dtqs.amounts import size, to_the_second
from dtqs.cli.cells import cell_text
from dtqs.cli.endpoint import Endpoint
from dtqs.cli.output import painted, print_json, print_table
from dtqs.log import visible
from dtqs.masking import masked, masked_text
from dtqs.shown_url import shown_url

_FIELDS = (
    "task_type", "status", "priority", "created_at", "due_at", "started_at", "finished_at", "tags", "retry_of",
    "request_id",
)  # fmt: skip


def show_task(record: dict[str, Any], endpoint: Endpoint) -> None:
    """Print all fields of one task, with its secrets masked."""
    rows = [("task_id", record.get("task_id"))]
    rows += [(name, _field(record, name)) for name in _FIELDS if record.get(name) not in (None, [])]
    rows.append(("attempt", attempt(record)))
    if progress := progress_text(record.get("progress")):
        rows.append(("progress", progress))
    rows.append(("payload", masked(record.get("payload"))))
    print_table(("field", "value"), rows)
    show_result(record | {"result": masked(record.get("result"))}, endpoint, failure_to_stderr=False)


def _field(record: dict[str, Any], name: str) -> Any:
    value = record.get(name)
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def show_result(record: dict[str, Any], endpoint: Endpoint, failure_to_stderr: bool = True) -> None:
    """Print the outcome of a task: its error, and its output files in a table or another result as JSON.

    `failure_to_stderr`: standard output is for the result alone, so the error of a failed task goes to standard error.
    """
    result = record.get("result")
    outputs = result.get("outputs") if isinstance(result, dict) else None
    if record.get("error") is not None and record.get("status") != "completed":
        click.echo(error_text(record["error"]), err=failure_to_stderr and record.get("status") == "failed")
    if isinstance(outputs, list) and outputs and all(isinstance(each, dict) and "uri" in each for each in outputs):
        print_table(
            ("name", "pixels", "size", "type", "location"),
            [_output_row(each, endpoint) for each in outputs],
            fold=False,
        )
    elif result is not None:
        print_json(result)


def _output_row(output: dict[str, Any], endpoint: Endpoint) -> tuple[Any, ...]:
    width, height = output.get("width"), output.get("height")
    pixels = f"{width} × {height}" if width and height else None
    size_bytes = output.get("size_bytes")
    return (
        output.get("name"),
        pixels,
        size(size_bytes) if isinstance(size_bytes, int) else None,
        output.get("media_type"),
        location(str(output["uri"]), endpoint),
    )


def location(uri: str, endpoint: Endpoint) -> str:
    """Return the path of a file if it is on this machine, else the URL to get it from the API."""
    scheme, _, file_id = uri.partition(":")
    if scheme != "upload":
        return uri
    path = endpoint.path_of(file_id)
    return str(path) if path else f"{shown_url(endpoint.url)}/files/{file_id}"


def error_text(error: Any) -> str:
    """Write the type and the message of a task's error, without its traceback."""
    if not isinstance(error, dict):
        return cell_text(masked(error))
    return visible(masked_text(f"{error.get('type', 'error')}: {error.get('message', '')}"))


def attempt(record: dict[str, Any]) -> str:
    """Write the attempt and the most attempts: `1 of 6`."""
    return f"{record.get('attempt', 0)} of {record.get('max_retries', 0) + 1}"


def progress_text(progress: Any) -> str:
    """Write the progress of a task: `40% two of five`."""
    if not isinstance(progress, dict) or not isinstance(progress.get("fraction"), int | float):
        return ""
    return visible(masked_text(f"{progress['fraction']:.0%} {progress.get('message') or ''}".strip()))


def show_tasks(records: Sequence[dict[str, Any]]) -> None:
    """Print a listing, one line per task. If all tasks have failed or were cancelled, it has a column of reasons."""
    reasons = bool(records) and all(record.get("status") in ("failed", "cancelled") for record in records)
    print_table(
        ("task", "type", "status", "attempt", "progress", "created", "finished", "tags", *(["reason"] * reasons)),
        [
            (
                record.get("task_id"),
                record.get("task_type"),
                record.get("status"),
                attempt(record),
                progress_text(record.get("progress")) or None,
                short_time(record.get("created_at")),
                short_time(record.get("finished_at")),
                ",".join(record.get("tags") or ()) or None,
                *([_reason(record)] * reasons),
            )
            for record in records
        ],
        spare=("tags", "finished", "progress", "created", "attempt"),
    )


def _reason(record: dict[str, Any]) -> str | None:
    """Return on one line why a task failed or was cancelled."""
    error = record.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return None if message is None else " ".join(masked_text(cell_text(message)).split())


def short_time(at: Any) -> str | None:
    """Return a time of the API without fractions of a second; None if it is missing."""
    return to_the_second(at) if isinstance(at, str) else None


def log_line(row: dict[str, Any]) -> str:
    """Write a row of a task's log on one line."""
    return " ".join([*_time_and_level(row), *_event_parts(row)]).rstrip()


def entry_line(row: dict[str, Any]) -> str:
    """Write a row of the log of all tasks on one line, with the id and the type of its task."""
    task = [row["task_id"], visible(row.get("task_type") or "-")]
    return " ".join([*_time_and_level(row), *task, *_event_parts(row)]).rstrip()


def _time_and_level(row: dict[str, Any]) -> list[str]:
    level = row.get("level") or "-"
    return [short_time(row.get("at")) or "-", painted(f"{level:7}", level)]


def _event_parts(row: dict[str, Any]) -> list[str]:
    event, data, message = row.get("event") or "-", row.get("data"), row.get("message")
    parts = [painted(f"{event:11}", event)]
    if row.get("attempt"):
        parts.append(f"attempt {row['attempt']}")
    if event == "progress":
        return [*parts, progress_text(data)]
    if message:
        parts.append(visible(masked_text(str(message))))
    if isinstance(data, dict) and "message" in data and "type" in data:
        parts += [] if data["message"] == message else [error_text(data)]
    elif data is not None:
        parts.append(cell_text(masked(data)))
    return parts
