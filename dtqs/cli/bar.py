"""The progress bar of a task that a command waits for."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from dtqs.log import visible
from dtqs.task import Status


class Bar:
    """Show events as a progress bar on standard error."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._progress = progress
        self._row = progress.add_task(name, total=1.0, text="submitted")

    def status(self, text: str) -> None:
        self._progress.update(self._row, text=text, completed=1.0 if text == Status.COMPLETED else None)

    def progress(self, fraction: float, message: str) -> None:
        self._progress.update(self._row, completed=fraction, text=visible(message))

    def lost(self, reason: str) -> None:
        self._progress.update(self._row, text=f"reconnecting: {visible(reason)}")


@contextmanager
def opened_bar(name: str) -> Iterator[Bar]:
    """Show a bar for the length of a wait."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(stderr=True),
    ) as progress:
        yield Bar(name, progress)
