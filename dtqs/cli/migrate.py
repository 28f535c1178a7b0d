"""The command `migrate`."""

import time

import click

from dtqs.cli.options import Seconds, configuration, json_option
from dtqs.cli.output import print_json, print_table
from dtqs.config import PostgresqlSection
from dtqs.deadline import Deadline
from dtqs.errors import ConfigError, StoreUnavailable
from dtqs.store.driver.schema import SCHEMA_VERSION, plan, unfit
from dtqs.store.driver.schema import migrate as apply_schema

_PAUSE_SECONDS = 1.0


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="List the migrations that would run, and change nothing.")
@click.option(
    "--wait",
    "wait_seconds",
    metavar="SECONDS",
    type=Seconds(0, 86400),
    help="Wait until another `dtqs migrate` has made the schema fit, and change nothing.",
)
@click.option(
    "--accept-newer",
    is_flag=True,
    help="Succeed, and change nothing, if a newer DTQS made the schema and this one may work on it: for the way back.",
)
@json_option
def migrate(only_plan: bool, wait_seconds: float | None, accept_newer: bool, as_json: bool) -> None:
    """Bring the schema of the database to the version of this DTQS.

    An empty database gets the whole schema. A database of an earlier version gets one migration per version, each in a
    transaction: if one fails, the database stays at the version before it. Safe to repeat.

    \b
      dtqs migrate --plan     # the migrations, and whether they are safe beside running processes
      dtqs migrate
      dtqs migrate --wait 600     # for containers that start before the migration
    """
    if only_plan and wait_seconds is not None:
        raise click.UsageError("give --plan or --wait, not both")
    section = configuration().postgresql
    if wait_seconds is not None:
        _wait(section, wait_seconds, as_json)
        return
    if only_plan:
        _print_plan(section, as_json)
        return
    try:
        version = apply_schema(section, lambda line: click.echo(line, err=True))
    except ConfigError:
        # a newer schema is the only refusal that leaves one that fits
        if not accept_newer or unfit(section):
            raise
        _print_fit("a newer DTQS made the schema, and it fits this one: nothing was changed", as_json)
        return
    if as_json:
        print_json({"schema": version})
    else:
        click.echo(f"the schema is at version {version}")


def _wait(section: PostgresqlSection, seconds: float, as_json: bool) -> None:
    """Return when this code may work on the database. Raises StoreUnavailable at the end of the time."""
    deadline, told = Deadline(seconds), ""
    while reason := _obstacle(section):
        if deadline.remaining <= _PAUSE_SECONDS:
            raise StoreUnavailable(f"waited {seconds:g} s for a schema that fits: {reason}")
        if reason != told:
            click.echo(f"waiting: {reason}", err=True)
            told = reason
        time.sleep(_PAUSE_SECONDS)
    _print_fit("the schema fits this DTQS", as_json)


def _print_fit(sentence: str, as_json: bool) -> None:
    if as_json:
        print_json({"fits": True})
    else:
        click.echo(sentence)


def _obstacle(section: PostgresqlSection) -> str | None:
    try:
        return unfit(section)
    except StoreUnavailable as error:
        return str(error)


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
