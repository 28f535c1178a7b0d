"""Follows a task to its outcome, with a progress bar on a terminal and lines elsewhere."""

import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from dtqs.client import Client, Event
from dtqs.log import visible
from dtqs.task import OUTCOMES, Status

EXIT_STATUSES = {Status.COMPLETED: 0, Status.FAILED: 1, Status.CANCELLED: 3}
"""How a command ends that waited for a task."""
_PATIENCE_SECONDS = 5.0


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


class WaitNotice:
    """Tell once that a task still waits for a worker, unless it has begun by then."""

    def __init__(self, display: "Lines | Bar") -> None:
        words = "still pending: is a worker running that does this type? `dtqs doctor` and `dtqs workers` tell"
        self._timer = threading.Timer(_PATIENCE_SECONDS, display.status, [words])
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> None:
        self._timer.cancel()


def wait_for(client: Client, task_id: str, name: str, wait_seconds: float) -> dict[str, Any]:
    """Follow a task and return its final record. Raises WaitOver, ApiRefusal, ApiUnavailable."""
    progress = _progress() if sys.stderr.isatty() else None
    around: AbstractContextManager[object] = progress or nullcontext()
    with around:
        display = Bar(name, progress) if progress else Lines(name)
        patience = WaitNotice(display)
        try:
            for event in client.stream(task_id, wait_seconds=wait_seconds, lost=display.lost):
                if event.data.get("status") != Status.PENDING:
                    patience.over()
                show_event(event, display)
                if event.task:
                    return event.data
        finally:
            patience.over()
    # the stream has nothing more to say, so the outcome is in the record
    return client.task(task_id).json


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        console=Console(stderr=True),
    )


def show_event(event: Event, display: Lines | Bar) -> None:
    """Show one event."""
    if event.name in OUTCOMES:
        display.status(event.name)
    elif event.name == "progress":
        # a task that is found in progress may be told with its whole progress in one field
        progress = event.data["progress"] if isinstance(event.data.get("progress"), dict) else event.data
        if isinstance(fraction := progress.get("fraction"), int | float):
            display.progress(fraction, str(progress.get("message") or ""))
    elif event.name == "status" and isinstance(status := event.data.get("status"), str):
        display.status(
            visible(status) + (f", attempt {event.data['attempt']}" if (event.data.get("attempt") or 0) > 1 else "")
        )


def exit_status(record: dict[str, Any]) -> int:
    """Return how a command about one task ends; a task without an outcome is no failure."""
    return EXIT_STATUSES.get(Status(record["status"]), 0)
