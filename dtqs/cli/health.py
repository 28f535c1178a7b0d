"""The command `health`. `python -m dtqs` runs it without this module, which has the help and reads wrong usage."""

import os
import sys

import click

from dtqs import health as probe
from dtqs.cli.options import configuration_path, json_option


@click.command()
@click.argument("part", type=click.Choice(probe.PARTS), default="supervisor")
@click.option("--live", is_flag=True, help="Only whether the process lives: it does also while PostgreSQL is away.")
@json_option
def health(part: str, live: bool, as_json: bool) -> None:
    """Tell a probe whether this node is well: exit status 0 or 1, and one sentence.

    \b
    supervisor  it lives, its children are ready, and a heartbeat has reached PostgreSQL within the lease
    api         it answers /readyz; with --live, /healthz
    any         the supervisor if one runs here, else the API

    \b
      dtqs health               # readiness
      dtqs health --live        # liveness: restart the process if this fails
      dtqs health api --live
    """
    path = configuration_path()
    well, sentence = probe.check(part, live, str(path) if path else None)
    click.echo(probe.written(well, sentence, as_json))
    sys.exit(os.EX_OK if well else 1)
