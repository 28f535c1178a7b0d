"""Looks whether the API can listen at an address, and whether it may listen on an inherited socket.

It looks before a start and before a reload.
"""

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable
from typing import Any

from dtqs.errors import ConfigError, TransientError
from dtqs.host_name import HOST_FAULT


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


def refuse_open_listeners(auth: bool, descriptors: Iterable[int]) -> None:
    """Refuse a socket that other machines reach, while the API asks for no key. Raises ConfigError.

    If the service manager has opened the socket, [api] host says nothing about it.
    """
    if not auth and (found := next((name for each in descriptors if (name := _open_name(each))), None)):
        raise ConfigError(
            [
                f"[api] auth: off is allowed only on loopback, but a socket of the API listens on {found}; "
                "allowed: on, or a socket on loopback (in a socket unit: ListenStream=127.0.0.1:8080)"
            ]
        )


def _open_name(descriptor: int) -> str | None:
    """Return the address of an open socket, or None if only this machine reaches it."""
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        if listener.family == socket.AF_UNIX:
            return None
        name: Any = listener.getsockname()
    try:
        address = ipaddress.ip_address(name[0].partition("%")[0])
    except (AttributeError, IndexError, TypeError, ValueError):
        return str(name)  # of another family, such as AF_VSOCK
    if (getattr(address, "ipv4_mapped", None) or address).is_loopback:
        return None
    return f"[{address}]:{name[1]}" if address.version == 6 else f"{address}:{name[1]}"


def _listen_once(family: int, kind: int, protocol: int, address: Any) -> None:
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)


def _addresses(host: str, port: int) -> list[tuple[int, int, int, str, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name that can be looked up
        reason = error.strerror if isinstance(error, OSError) else HOST_FAULT
        raise ConfigError([f"[api] host = {host}: the name has no address: {reason}"]) from error
    return [(int(family), int(kind), *rest) for family, kind, *rest in found]  # type: ignore[misc]
