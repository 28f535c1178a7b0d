"""The command `api`."""

import errno
import os
import socket
import sys
from typing import Any

import click
from setproctitle import setproctitle

from dtqs.api.server.service import is_socket_activated
from dtqs.cli.loading import load_in_time
from dtqs.cli.options import configuration, configuration_path
from dtqs.cli.starting import check_api
from dtqs.errors import ConfigError, TransientError


class PortTaken(TransientError):
    """Another program listens on the API's port. The exit status is EX_UNAVAILABLE."""


def refuse_taken_port(host: str, port: int) -> None:
    """Try to listen for a moment. Raises PortTaken, ConfigError.

    gunicorn itself would try for five seconds and print ten lines.
    """
    for family, kind, protocol, _, address in _addresses(host, port):
        try:
            _listen_once(family, kind, protocol, address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"port {port} of {host} is in use by another program: stop that program, or change [api] port"
                ) from error
            raise ConfigError(
                [f"[api] host = {host}, port = {port}: cannot listen on this address: {error.strerror}"]
            ) from error


def _listen_once(family: int, kind: int, protocol: int, address: Any) -> None:
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)


def _addresses(host: str, port: int) -> list[tuple[int, int, int, str, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError([f"[api] host = {host}: the name has no address: {error.strerror}"]) from error
    return [(int(family), int(kind), *rest) for family, kind, *rest in found]  # type: ignore[misc]


@click.command()
def api() -> None:
    """Run the HTTP API and the dashboard on gunicorn. SIGTERM ends it; SIGHUP reloads it.

    \b
      dtqs api
      dtqs api --config /etc/dtqs/dtqs.ini
    """
    config = configuration()
    load_in_time(config)  # reports a wrong setting once; otherwise each gunicorn process would
    path = configuration_path()
    if path is not None:
        os.environ["DTQS_CONFIG"] = str(path.resolve())
    if not is_socket_activated():
        refuse_taken_port(config.api.host, config.api.port)
    check_api(config)
    setproctitle("dtqs: api")
    # -P: a module in the current folder must not replace a module of DTQS
    os.execv(sys.executable, [sys.executable, "-P", "-m", "dtqs.api.server.master"])
