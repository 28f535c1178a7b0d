"""Looks whether the API can listen at an address, before a start and before a reload."""

import errno
import socket
from typing import Any

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
