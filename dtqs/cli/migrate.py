"""The command `migrate`."""

import click

from dtqs.cli.options import configuration, json_option
from dtqs.cli.output import print_json, print_table
from dtqs.config import PostgresqlSection
from dtqs.store.driver.schema import SCHEMA_VERSION, plan
from dtqs.store.driver.schema import migrate as apply_schema


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="List the migrations that would run, and change nothing.")
@json_option
def migrate(only_plan: bool, as_json: bool) -> None:
    """Bring the schema of the database to the version of this DTQS.

    An empty database gets the whole schema. A database of an earlier version gets one migration per version, each in a
    transaction: if one fails, the database stays at the version before it. Safe to repeat.

    \b
      dtqs migrate --plan     # the migrations, and whether they are safe beside running processes
      dtqs migrate
      dtqs migrate --config /etc/dtqs/dtqs.ini
    """
    section = configuration().postgresql
    if only_plan:
        _print_plan(section, as_json)
        return
    version = apply_schema(section, lambda line: click.echo(line, err=True))
    if as_json:
        print_json({"schema": version})
    else:
        click.echo(f"the schema is at version {version}")


def _print_plan(section: PostgresqlSection, as_json: bool) -> None:
    version, files = plan(section)
    if as_json:
        rows = [
            {"file": file.file_name, "purpose": file.purpose, "safe_beside_running": file.is_safe} for file in files
        ]
        print_json({"schema": version, "target": SCHEMA_VERSION, "files": rows})
    elif not files:
        click.echo(f"nothing to do: the schema is at version {version}")
    else:
        begin = "the database has no schema" if version is None else f"the schema is at version {version}"
        click.echo(f"{begin}; `dtqs migrate` brings it to version {SCHEMA_VERSION}:")
        safe = {True: "safe", False: "stop all supervisors and APIs first"}
        columns = ("file", "beside running processes", "purpose")
        print_table(columns, [(each.file_name, safe[each.is_safe], each.purpose) for each in files])
