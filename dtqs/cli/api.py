"""The command `dtqs api`."""

import errno
import os
import socket
import sys
from typing import Any

import click
from setproctitle import setproctitle

from dtqs.cli.loading import load_in_time
from dtqs.cli.options import configuration, configuration_path
from dtqs.cli.starting import check_api
from dtqs.errors import ConfigError, TransientError


class PortTaken(TransientError):
    """The API cannot listen: the exit status is EX_UNAVAILABLE."""


def refuse_taken_port(host: str, port: int) -> None:
    """Try to listen for a moment: gunicorn would try for five seconds, and tell in ten lines. Raises PortTaken, ConfigError."""
    for family, kind, protocol, _, address in _addresses(host, port):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                probe.listen(1)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise PortTaken(
                        f"port {port} of {host} is taken by another program: stop that one, or set [api] port"
                    ) from error
                raise ConfigError(
                    [f"[api] host = {host}, port = {port}: cannot listen there: {error.strerror}"]
                ) from error


def _addresses(host: str, port: int) -> list[tuple[int, int, int, str, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError([f"[api] host = {host}: no address is known for it: {error.strerror}"]) from error
    return [(int(family), int(kind), *rest) for family, kind, *rest in found]  # type: ignore[misc]


@click.command()
def api() -> None:
    """Run the HTTP API and the dashboard on gunicorn, until SIGTERM; SIGHUP reloads it.

    \b
      dtqs api
      dtqs api --config /etc/dtqs/dtqs.ini
    """
    config = configuration()
    load_in_time(config)  # a wrong setting is told here, in one line, not by each process of gunicorn
    path = configuration_path()
    if path is not None:
        os.environ["DTQS_CONFIG"] = str(path.resolve())
    refuse_taken_port(config.api.host, config.api.port)
    check_api(config)
    setproctitle("dtqs: api")
    # -P: a module of the current folder must not stand in for one of ours
    os.execv(sys.executable, [sys.executable, "-P", "-m", "dtqs.api.server.master"])
