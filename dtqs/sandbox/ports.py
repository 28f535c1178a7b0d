"""Ports that are free: below the range that outgoing connections take theirs from, so that one kept in a file is still free tomorrow."""

import random
import socket

_FIRST, _LAST = 20000, 30000


def is_free(port: int) -> bool:
    """Tell whether nobody listens on the port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Return so many different free ports, at random: several suites and sandboxes choose at the same time."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(_FIRST, _LAST)
        if port not in found and is_free(port):
            found.append(port)
    return found
