"""Lets the tests of a cell kill, freeze and start its servers, which are children of bin/test-matrix."""

import json
import select
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.matrix.servers import TreeServer
from tests.matrix.trees import ServerFailed

_ANSWER_SECONDS = 120
_ACTIONS = {"kill", "start", "freeze", "thaw", "ctl"}


class Control:
    """The end of bin/test-matrix: a socket in a folder of its own.

    The thread that started the servers serves it, since a server ends with the thread that started it.
    """

    def __init__(self, servers: Mapping[str, TreeServer]) -> None:
        self._servers = servers
        # the path of a socket may have 107 bytes, and the results' folder may have a longer one
        self._folder = tempfile.TemporaryDirectory(prefix="dtqs-matrix-")
        self.path = str(Path(self._folder.name) / "control")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen()

    def close(self) -> None:
        self._socket.close()
        self._folder.cleanup()

    def serve(self, seconds: float) -> None:
        """Do what a test asks for; return after it, or after `seconds` without a request."""
        if not select.select([self._socket], [], [], seconds)[0]:
            return
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rw", encoding="utf-8") as stream:
            asked = json.loads(stream.readline())
            try:
                answer = {"said": self._do(asked["server"], asked["action"], asked["arguments"])}
            except ServerFailed as error:
                answer = {"error": str(error)}
            stream.write(json.dumps(answer) + "\n")

    def _do(self, server: str, action: str, arguments: list[str]) -> object:
        if action not in _ACTIONS:
            raise ServerFailed(f"a test asks for {action!r}")
        return getattr(self._servers[server], action)(*arguments)


class CellServer:
    """The tests' end: a server of the cell, with the verbs of a private one."""

    def __init__(self, control: str, name: str, *, dsn: str = "", url: str = "") -> None:
        self.dsn, self.url = dsn, url
        self._control, self._name = control, name

    def kill(self) -> None:
        """Kill the server and all its processes with SIGKILL."""
        self._ask("kill")

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        self._ask("start")

    def wait_ready(self, _: object) -> None:
        """Return at once: `start` has waited."""

    def freeze(self) -> None:
        """Halt the server."""
        self._ask("freeze")

    def thaw(self) -> None:
        """Continue the server."""
        self._ask("thaw")

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl and return its output."""
        return str(self._ask("ctl", *arguments))

    def _ask(self, action: str, *arguments: str) -> object:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(self._control)
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.write(json.dumps({"server": self._name, "action": action, "arguments": arguments}) + "\n")
                stream.flush()
                answer: dict[str, Any] = json.loads(stream.readline())
        if error := answer.get("error"):
            raise AssertionError(f"{action} {self._name}: {error}")
        return answer["said"]
