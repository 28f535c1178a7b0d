"""Follow a task to its outcome, with a progress bar on a terminal and lines elsewhere."""

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import click

from dtqs.client import Client, Event
from dtqs.log import visible
from dtqs.task import OUTCOMES, Status

EXIT_STATUSES = {Status.COMPLETED: 0, Status.FAILED: 1, Status.CANCELLED: 3}
"""Exit status of a command that waited for a task, by outcome."""
_PATIENCE_SECONDS = 5.0


class Lines:
    """Show events as lines on standard error."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, ""

    def status(self, text: str) -> None:
        self._print(text)

    def progress(self, fraction: float, message: str) -> None:
        self._print(f"{fraction:.0%} {visible(message)}".rstrip())

    def lost(self, reason: str) -> None:
        self._print(f"reconnecting: {visible(reason)}")

    def _print(self, text: str) -> None:
        if text != self._last:
            self._last = text
            click.echo(f"{self._name}: {text}", err=True)


class Display(Protocol):
    """The display of a task's events."""

    def status(self, text: str) -> None: ...

    def progress(self, fraction: float, message: str) -> None: ...

    def lost(self, reason: str) -> None: ...


class WaitNotice:
    """Print a note once if the task is still pending after five seconds."""

    def __init__(self, display: Display) -> None:
        note = "still pending: does a worker run this task type? check with `dtqs doctor` and `dtqs workers`"
        self._timer = threading.Timer(_PATIENCE_SECONDS, display.status, [note])
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> None:
        self._timer.cancel()


class Reconnects:
    """Passes the reasons of reconnects to the display, once there is one."""

    def __init__(self) -> None:
        self.display: Display | None = None

    def __call__(self, reason: str) -> None:
        if self.display is not None:
            self.display.lost(reason)


def wait_for(
    client: Client, task_id: str, name: str, events: Iterator[Event], reconnects: Reconnects
) -> dict[str, Any]:
    """Follow a task by its events and return its final record. Raises WaitOver, ApiRefusal, ApiUnavailable."""
    with _display(name) as display:
        reconnects.display = display
        record = _follow(events, display)
    # a stream that ends without the record: the API has it
    return client.task(task_id).json if record is None else record


def _display(name: str) -> AbstractContextManager[Display]:
    if not sys.stderr.isatty():
        return nullcontext(Lines(name))
    from dtqs.cli.bar import opened_bar  # rich costs 0.1 s, and a script draws no bar

    return opened_bar(name)


def _follow(events: Iterator[Event], display: Display) -> dict[str, Any] | None:
    """Show the events of a task. Return its final record, or None if the stream ends without it."""
    notice = WaitNotice(display)
    try:
        for event in events:
            if event.data.get("status") != Status.PENDING:
                notice.over()
            show_event(event, display)
            if event.task:
                return event.data
    finally:
        notice.over()
    return None


def show_event(event: Event, display: Display) -> None:
    """Show one event on the display."""
    if event.name in OUTCOMES:
        display.status(event.name)
    elif event.name == "progress":
        # the first event of a running task may hold the whole progress in one field
        progress = event.data["progress"] if isinstance(event.data.get("progress"), dict) else event.data
        if isinstance(fraction := progress.get("fraction"), int | float):
            display.progress(fraction, str(progress.get("message") or ""))
    elif event.name == "status" and isinstance(status := event.data.get("status"), str):
        display.status(
            visible(status) + (f", attempt {event.data['attempt']}" if (event.data.get("attempt") or 0) > 1 else "")
        )


def exit_status(record: dict[str, Any]) -> int:
    """Return the exit status for a task. A task without an outcome is not a failure."""
    return EXIT_STATUSES.get(Status(record["status"]), 0)
