"""Free ports. They lie below the range of outgoing connections, so a port from a file is likely to stay free."""

import random
import socket
from collections import deque

_FIRST, _LAST = 20000, 30000
_chosen: deque[int] = deque(maxlen=1000)
"""The last ports that this process chose. Their servers may not listen yet."""


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
    """Return free ports that this process has not chosen lately.

    The choice is random because several processes may choose at the same time.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(_FIRST, _LAST)
        if port not in _chosen and is_free(port):
            _chosen.append(port)
            found.append(port)
    return found
