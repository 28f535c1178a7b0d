"""How tasks, their results and their logs are shown; pure text and tables from the API's JSON, nothing fetched."""

from collections.abc import Sequence
from typing import Any

import click

from dtqs.amounts import size, to_the_second
from dtqs.cli.endpoint import Endpoint
from dtqs.cli.output import cell_text, painted, print_json, print_table
from dtqs.errors import NotFound
from dtqs.files import FileSpace
from dtqs.log import visible
from dtqs.masking import masked, masked_text

_FIELDS = ("task_type", "status", "priority", "created_at", "due_at", "started_at", "finished_at", "tags", "retry_of")


def show_task(record: dict[str, Any], endpoint: Endpoint) -> None:
    """Print everything of one task, its secrets masked."""
    rows = [("task_id", record.get("task_id"))]
    rows += [(name, _field(record, name)) for name in _FIELDS if record.get(name) not in (None, [])]
    rows.append(("attempt", attempt(record)))
    if progress := progress_words(record.get("progress")):
        rows.append(("progress", progress))
    rows.append(("payload", masked(record.get("payload"))))
    print_table(("field", "value"), rows)
    show_result(record | {"result": masked(record.get("result"))}, endpoint, failure_to_stderr=False)


def _field(record: dict[str, Any], name: str) -> Any:
    value = record.get(name)
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def show_result(record: dict[str, Any], endpoint: Endpoint, failure_to_stderr: bool = True) -> None:
    """Print what a task came to: its files in a table, else its result or error. A command that asks for a result tells a failure on standard error."""
    result = record.get("result")
    outputs = result.get("outputs") if isinstance(result, dict) else None
    if record.get("error") is not None and record.get("status") != "completed":
        click.echo(error_words(record["error"]), err=failure_to_stderr and record.get("status") == "failed")
    if isinstance(outputs, list) and outputs and all(isinstance(each, dict) and "uri" in each for each in outputs):
        print_table(
            ("name", "pixels", "size", "type", "where"), [_output_row(each, endpoint) for each in outputs], fold=False
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
        where(str(output["uri"]), endpoint),
    )


def where(uri: str, endpoint: Endpoint) -> str:
    """Return where to get a file: its path if it is on this machine, else the API's URL of it."""
    scheme, _, file_id = uri.partition(":")
    if scheme != "upload":
        return uri
    if endpoint.config is not None:
        try:
            path = FileSpace(endpoint.config.files).path_of(file_id)
            if path.is_file():
                return str(path.absolute())
        except (NotFound, OSError):
            pass
    return f"{endpoint.url}/files/{file_id}"


def error_words(error: Any) -> str:
    """Word a task's error: what it says, without its traceback."""
    if not isinstance(error, dict):
        return cell_text(masked(error))
    return visible(masked_text(f"{error.get('type', 'error')}: {error.get('message', '')}"))


def attempt(record: dict[str, Any]) -> str:
    """Write which attempt of how many: `1 of 6`."""
    return f"{record.get('attempt', 0)} of {record.get('max_retries', 0) + 1}"


def progress_words(progress: Any) -> str:
    """Write how far a task says that it is: `40% two of five`."""
    if not isinstance(progress, dict) or not isinstance(progress.get("fraction"), int | float):
        return ""
    return visible(masked_text(f"{progress['fraction']:.0%} {progress.get('message') or ''}".strip()))


def show_tasks(records: Sequence[dict[str, Any]]) -> None:
    """Print a listing, a line for each task; with the reasons where every task has ended without a result."""
    reasons = bool(records) and all(record.get("status") in ("failed", "cancelled") for record in records)
    print_table(
        ("task", "type", "status", "attempt", "progress", "created", "finished", "tags", *(["reason"] * reasons)),
        [
            (
                record.get("task_id"),
                record.get("task_type"),
                record.get("status"),
                attempt(record),
                progress_words(record.get("progress")) or None,
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
    """Return why a task has ended without a result, on one line."""
    error = record.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return None if message is None else " ".join(masked_text(cell_text(message)).split())


def short_time(at: Any) -> str | None:
    return to_the_second(at) if isinstance(at, str) else None


def log_line(row: dict[str, Any]) -> str:
    """Write one row of a task's log on one line."""
    return " ".join([*_when(row), *_what(row)]).rstrip()


def entry_line(row: dict[str, Any]) -> str:
    """Write one row of the log of all tasks on one line: with the task that it is about."""
    return " ".join([*_when(row), row["task_id"], visible(row.get("task_type") or "-"), *_what(row)]).rstrip()


def _when(row: dict[str, Any]) -> list[str]:
    level = row.get("level") or "-"
    return [short_time(row.get("at")) or "-", painted(f"{level:7}", level)]


def _what(row: dict[str, Any]) -> list[str]:
    event, data, message = row.get("event") or "-", row.get("data"), row.get("message")
    words = [painted(f"{event:11}", event)]
    if row.get("attempt"):
        words.append(f"attempt {row['attempt']}")
    if event == "progress":
        return [*words, progress_words(data)]
    if message:
        words.append(visible(masked_text(str(message))))
    if isinstance(data, dict) and "message" in data and "type" in data:
        words += [] if data["message"] == message else [error_words(data)]
    elif data is not None:
        words.append(cell_text(masked(data)))
    return words
