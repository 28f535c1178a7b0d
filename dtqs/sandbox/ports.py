"""Free ports. They lie below the range of outgoing connections, so a port from a file is likely to stay free."""

import random
import socket

_FIRST, _LAST = 20000, 30000


def is_free(port: int) -> bool:
    """Return whether a port on loopback is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Return different free ports. The choice is random because several sandboxes may choose at the same time."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(_FIRST, _LAST)
        if port not in found and is_free(port):
            found.append(port)
    return found
