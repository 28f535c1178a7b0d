"""The command `keeper`."""

import click

from dtqs.cli.supervisor import run_node
from dtqs.own_program import ADOPT
from dtqs.supervisor.again import CHECK


@click.command()
@click.option(CHECK, "wanted", hidden=True, help="Check configuration and code for a running supervisor, and end.")
@click.option(ADOPT, "inherited", type=int, hidden=True, help="Go on with the children of the program before this one.")
def keeper(wanted: str | None, inherited: int | None) -> None:
    """Run a node without workers: its keeper relays, reclaims and prunes. SIGTERM ends it.

    Every supervisor has a keeper of its own. This one is for a system that stops all its workers while there is
    nothing to do: somebody must publish tasks that become due, and take back the tasks of lost workers.

    \b
      dtqs keeper
      dtqs keeper --config /etc/dtqs/dtqs.ini
    """
    run_node(wanted, inherited, with_workers=False)
