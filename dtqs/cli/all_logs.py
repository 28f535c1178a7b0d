"""Print the log of all tasks, read from the database: the command `logs` without an id."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from dtqs.cli.options import configuration
from dtqs.cli.output import json_text
from dtqs.cli.reading import opened_reader
from dtqs.cli.show import entry_line
from dtqs.client import WaitOver
from dtqs.deadline import Deadline
from dtqs.readings import SystemLogRow, SystemReader
from dtqs.readings.following import Following

FOLLOW_SECONDS = 1.0
"""Pause between two reads of the log."""


def print_entries(
    following: bool, level: str | None, search: str | None, limit: int, deadline: Deadline, as_json: bool
) -> None:
    """Print the newest rows; if `following`, also new rows until the deadline. Raises WaitOver, StoreUnavailable."""
    with opened_reader(configuration(needed=True), "dtqs logs") as reader:
        for entry in _entries(reader, following, level, search, limit, deadline):
            row: dict[str, Any] = asdict(entry)
            click.echo(json_text(row) if as_json else entry_line(row))


def _entries(
    reader: SystemReader, following: bool, level: str | None, search: str | None, limit: int, deadline: Deadline
) -> Iterator[SystemLogRow]:
    """Yield the newest rows; if `following`, then each new row. Raises WaitOver, StoreUnavailable."""
    if not following:
        yield from reader.newest_logs(limit, level, None, search)
        return
    new_rows = Following(reader, level, search)
    yield from new_rows.begin(limit)
    while not deadline.passed:
        time.sleep(min(FOLLOW_SECONDS, deadline.remaining))
        yield from new_rows.new()
    raise WaitOver
