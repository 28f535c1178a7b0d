"""The command `dtqs api`."""

import os
import sys

import click
from setproctitle import setproctitle

from dtqs.cli.options import configuration, configuration_path
from dtqs.processors.catalog import Catalog
from dtqs.resources import resource


@click.command()
def api() -> None:
    """Run the HTTP API and the dashboard on gunicorn, until SIGTERM; SIGHUP reloads it.

    \b
      dtqs api
      dtqs api --config /etc/dtqs/dtqs.ini
    """
    config = configuration()
    Catalog.load(config)  # a wrong setting is said here, in one line, not by each process of gunicorn
    path = configuration_path()
    if path is not None:
        os.environ["DTQS_CONFIG"] = str(path.resolve())
    setproctitle("dtqs: api")
    # with this very interpreter: gunicorn's script may be another one's
    arguments = [sys.executable, "-m", "gunicorn", "--config", str(resource("conf/gunicorn.conf.py")), "dtqs.api.wsgi:application"]
    os.execv(sys.executable, arguments)
