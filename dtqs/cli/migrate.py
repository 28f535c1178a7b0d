"""The command `migrate`."""

import click

from dtqs.cli.options import configuration, json_option
from dtqs.cli.output import print_json
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
