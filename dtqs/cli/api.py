"""The command `api`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from dtqs.api.server.handover import ApiHandover
from dtqs.api.server.patching import patch_for_imports
from dtqs.cli.options import configuration
from dtqs.errors import ConfigError, TransientError
from dtqs.own_program import ADOPT


class ReloadFailed(TransientError):
    """The files have become wrong between the check of a reload and its execution."""

    exit_status = os.EX_TEMPFAIL


@click.command()
@click.option(
    ADOPT, "inherited", type=int, hidden=True, help="Go on with the processes of the program before this one."
)
def api(inherited: int | None) -> None:
    """Run the HTTP API and the dashboard on gunicorn. SIGTERM ends it; SIGHUP reloads it.

    \b
      dtqs api
      dtqs api --config /etc/dtqs/dtqs.ini
    """
    # before all else: its descriptors must not get into a program that an import starts
    handover = ApiHandover.take(inherited) if inherited is not None else None
    with ending_on_error(handover):
        config = configuration()
        patch_for_imports()
        from dtqs.cli.serving import serve

        serve(config, handover)


@contextmanager
def ending_on_error(handover: ApiHandover | None) -> Iterator[None]:
    """End the processes of the program before, if this one cannot go on. Raises ReloadFailed."""
    try:
        yield
    except ConfigError as error:
        if handover is None:
            raise
        handover.end_processes()
        raise ReloadFailed(f"configuration or code became wrong during the reload: {error}") from error
