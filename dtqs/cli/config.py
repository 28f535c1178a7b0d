"""The command `config`: check and show the configuration, and print the file with every default."""

import os
import sys

import click

from dtqs.api.server.checking import API_VARIABLE
from dtqs.cli.drivers import refuse_unusable_addresses
from dtqs.cli.options import Group, configuration, json_option
from dtqs.cli.output import print_json
from dtqs.cli.schema_check import schema_doubt
from dtqs.cli.starting import check_api
from dtqs.config import Config, Section, load, mixed_queues
from dtqs.config.reference import default_ini, effective, facts, write_ini
from dtqs.config.reference import reference as write_reference
from dtqs.processors.catalog import Catalog


@click.group(cls=Group)
def config() -> None:
    """Check and show the configuration.

    \b
      dtqs config check --config new.ini
      dtqs config show
      dtqs config default > /etc/dtqs/dtqs.ini
    """


@config.command()
@click.option("--schema", is_flag=True, help="Also ask the database whether this version may work on its schema.")
@json_option
def check(schema: bool, as_json: bool) -> None:
    """Check every key and print one line per mistake. The exit status is 78 if there is a mistake.

    \b
      dtqs config check
      dtqs config check --config new.ini
      dtqs config check --schema       # before a reload of a new version
    """
    current = configuration()
    refuse_unusable_addresses(current)
    warnings = list(mixed_queues(current.pools, current.routes, Catalog.load(current).names()))
    if schema:
        doubt = schema_doubt(current.postgresql)
        warnings += [doubt] if doubt else []
        if os.environ.get(API_VARIABLE) and not doubt:
            check_api(current)
    if as_json:
        print_json({"ok": True, "path": current.path and str(current.path), "warnings": warnings})
        return
    for words in warnings:
        click.echo(f"warning: {words}", err=True)
    click.echo(f"{current.path or 'no file (defaults and environment)'}: the configuration is valid")


@config.command()
@json_option
def show(as_json: bool) -> None:
    """Show every key in effect and its origin. Secrets are masked.

    \b
      dtqs config show
      dtqs config show --json | jq .api
    """
    current = configuration()
    sections = effective(current, processor_settings(current))
    if as_json:
        print_json(
            {
                name: {k: {"value": value, "from": where} for k, (value, where) in keys.items()}
                for name, keys in sections.items()
            }
        )
    else:
        click.echo(f"; {current.path or 'no file: defaults and environment'}\n\n{write_ini(sections)}", nl=False)


@config.command()
@json_option
def default(as_json: bool) -> None:
    """Print conf/dtqs.ini: every key with its default and a comment. --json prints the defaults alone.

    \b
      dtqs config default > dtqs.ini
    """
    if as_json:
        print_json(
            {
                name: {key: fact["default"] for key, fact in keys.items()}
                for name, keys in facts(processor_models()).items()
            }
        )
    else:
        sys.stdout.write(default_ini(processor_models()))


@config.command()
@json_option
def reference(as_json: bool) -> None:
    """Print docs/configuration.md: every key with its default and its allowed values.

    \b
      dtqs config reference | less
    """
    if as_json:
        print_json(facts(processor_models()))
    else:
        sys.stdout.write(write_reference(processor_models()))


def processor_models() -> dict[str, type[Section]]:
    """Return the settings models of all processors by task type."""
    catalog = Catalog.load(load(None, {}))
    return {name: catalog.get(name).settings_model for name in catalog.names()}


def processor_settings(current: Config) -> dict[str, Section]:
    """Return the settings of all processors by task type. Raises ConfigError."""
    catalog = Catalog.load(current)
    return {name: catalog.get(name).settings for name in catalog.names()}
