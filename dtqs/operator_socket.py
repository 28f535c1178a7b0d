"""The operator's socket in a node's folder, from the client's side. dtqs/supervisor/control.py serves it.

A module of its own, since importing the supervisor would take most of a command's time.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SOCKET = "control"


def ask(folder: Path, request: Mapping[str, Any], seconds: float) -> Any:
    """Send a request to the supervisor of this folder, and return its answer. Raises OSError, ValueError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        with short_path(folder) as place:
            client.connect(place)
        client.sendall(line(request))
        parts = []
        while part := client.recv(1 << 16):
            parts.append(part)
    return json.loads(b"".join(parts))


@contextlib.contextmanager
def short_path(folder: Path) -> Iterator[str]:
    """Yield a short path to the socket: the address of a socket has 107 bytes at most, and a folder's path may more."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def line(value: Mapping[str, Any]) -> bytes:
    """Return a request or an answer as one line of JSON."""
    return json.dumps(value, default=str).encode() + b"\n"
