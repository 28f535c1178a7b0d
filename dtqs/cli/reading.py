"""Read the whole system for a command: open a reader, read once, print the alarms."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from dtqs.cli.options import configuration
from dtqs.cli.output import painted
from dtqs.cli.store import opened_store
from dtqs.config import Config
from dtqs.errors import StoreUnavailable
from dtqs.log import visible
from dtqs.readings import Reading, SystemReader

READING_STATUSES = (
    "Exit status: 0 as long as PostgreSQL answers, else 69; 78 configuration. Alarms are printed on standard error."
)


@contextmanager
def opened_reader(config: Config, name: str) -> Iterator[SystemReader]:
    """Open a reader. Raises StoreUnavailable at once where PostgreSQL cannot be reached."""
    with opened_store(config, name) as store:
        reader = SystemReader(store, config.rabbitmq, name, config.routes)
        try:
            yield reader
        finally:
            reader.close()


def read_system(limit: int) -> Reading:
    """Read the system once, with at most `limit` tasks in each list. Raises StoreUnavailable."""
    with opened_reader(configuration(needed=True), "dtqs") as reader:
        reading = reader.read(limit, limit)
    if reading.database.state == "away":
        raise StoreUnavailable(f"PostgreSQL: {reading.database.words}")
    return reading


def print_alarms(reading: Reading) -> None:
    """Print each alarm on a line of standard error."""
    for alarm in reading.alarms:
        click.echo(painted(f"! {visible(alarm)}", "error", err=True), err=True)
