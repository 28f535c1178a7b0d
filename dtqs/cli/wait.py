"""Follows a task to its outcome, with a progress bar on a terminal and lines elsewhere."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from dtqs.cli.calls import Api
from dtqs.cli.stream import Message, follow
from dtqs.deadline import Deadline
from dtqs.log import visible
from dtqs.task import OUTCOMES, Status

EXIT_STATUSES = {Status.COMPLETED: 0, Status.FAILED: 1, Status.CANCELLED: 3}
"""How a command ends that waited for a task."""


class Lines:
    """Shows what happens as lines on standard error."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, ""

    def status(self, words: str) -> None:
        self._print(words)

    def progress(self, fraction: float, message: str) -> None:
        self._print(f"{fraction:.0%} {visible(message)}".rstrip())

    def lost(self, reason: str) -> None:
        self._print(f"reconnecting: {visible(reason)}")

    def _print(self, words: str) -> None:
        if words != self._last:
            self._last = words
            click.echo(f"{self._name}: {words}", err=True)


class Bar:
    """Shows what happens as a progress bar on standard error."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._progress = progress
        self._row = progress.add_task(name, total=1.0, words="submitted")

    def status(self, words: str) -> None:
        self._progress.update(self._row, words=words, completed=1.0 if words == Status.COMPLETED else None)

    def progress(self, fraction: float, message: str) -> None:
        self._progress.update(self._row, completed=fraction, words=visible(message))

    def lost(self, reason: str) -> None:
        self._progress.update(self._row, words=f"reconnecting: {visible(reason)}")


def wait_for(api: Api, task_id: str, name: str, wait_seconds: float) -> dict[str, Any]:
    """Follow a task and return its final record. Raises WaitOver, ApiRefusal, ApiUnavailable."""
    progress = _progress() if sys.stderr.isatty() else None
    around: AbstractContextManager[object] = progress or nullcontext()
    with around:
        return _follow(api, task_id, Bar(name, progress) if progress else Lines(name), Deadline(wait_seconds))


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        console=Console(stderr=True),
    )


def _follow(api: Api, task_id: str, display: Lines | Bar, deadline: Deadline) -> dict[str, Any]:
    for message in follow(lambda last: api.stream([task_id], last), deadline, display.lost):
        if final := show_message(message, display):
            return final
    # 204: there is nothing more to say, so the outcome is in the record
    record: dict[str, Any] = api.get(f"/tasks/{task_id}")
    return record


def show_message(message: Message, display: Lines | Bar) -> dict[str, Any] | None:
    """Show one event; return the final record if it is the last one."""
    try:
        data = orjson.loads(message.data)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    if message.event in OUTCOMES:
        display.status(message.event)
        return data
    if message.event == "progress":
        progress: dict[str, Any] = data["progress"] if isinstance(data.get("progress"), dict) else data
        if isinstance(fraction := progress.get("fraction"), int | float):
            display.progress(fraction, str(progress.get("message") or ""))
    elif message.event == "status" and isinstance(status := data.get("status"), str):
        display.status(visible(status) + (f", attempt {data['attempt']}" if data.get("attempt", 0) > 1 else ""))
    return None


def exit_status(record: dict[str, Any]) -> int:
    """Return how a command about one task ends; a task without an outcome is no failure."""
    return EXIT_STATUSES.get(Status(record["status"]), 0)
