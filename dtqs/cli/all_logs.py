"""The log of all tasks, from the database that the configuration names: what `logs` without an id prints."""

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
"""Between two looks."""


def print_entries(
    following: bool, level: str | None, search: str | None, limit: int, deadline: Deadline, as_json: bool
) -> None:
    with opened_reader(configuration(needed=True), "dtqs logs") as reader:
        for entry in _entries(reader, following, level, search, limit, deadline):
            row: dict[str, Any] = asdict(entry)
            click.echo(json_text(row) if as_json else entry_line(row))


def _entries(
    reader: SystemReader, following: bool, level: str | None, search: str | None, limit: int, deadline: Deadline
) -> Iterator[SystemLogRow]:
    """Give out the newest rows, and then those that come. Raises WaitOver, StoreUnavailable."""
    if not following:
        yield from reader.newest_logs(limit, level, None, search)
        return
    coming = Following(reader, level, search)
    yield from coming.begin(limit)
    while not deadline.passed:
        time.sleep(min(FOLLOW_SECONDS, deadline.remaining))
        yield from coming.new()
    raise WaitOver
