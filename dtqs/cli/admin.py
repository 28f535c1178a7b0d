"""The command of the operator on the database's schema, and the store that such commands open."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from dtqs.cli.options import configuration, json_option
from dtqs.cli.output import print_json
from dtqs.config import Config
from dtqs.store import Store
from dtqs.store.checkup import reach
from dtqs.store.driver.schema import migrate as apply_schema


@click.command()
@json_option
def migrate(as_json: bool) -> None:
    """Apply the schema to the database. Safe to repeat.

    \b
      dtqs migrate
      dtqs migrate --config /etc/dtqs/dtqs.ini
    """
    version = apply_schema(configuration().postgresql)
    if as_json:
        print_json({"schema": version})
    else:
        click.echo(f"the schema is at version {version}")


@contextmanager
def opened_store(config: Config, name: str) -> Iterator[Store]:
    """Open a store of one connection for a command. Raises StoreUnavailable at once where PostgreSQL cannot be reached."""
    reach(config.postgresql, name)
    store = Store(config.postgresql, config.lease, size=1, name=name)
    store.start()
    try:
        yield store
    finally:
        store.stop()
