"""The operator's socket, without a node."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from dtqs.operator_socket import SOCKET
from dtqs.supervisor.control import Control
from dtqs.supervisor.signals import Signals


class NoSignals:
    def watch(self, descriptor: int, events: int) -> None:
        """Watch nothing: the test calls `turn` itself."""


def test_a_client_that_gave_up_is_not_obeyed_and_one_that_only_ended_its_request_is(tmp_path: Path) -> None:
    obeyed = []

    def obey(request: Mapping[str, Any], uid: int) -> Mapping[str, Any]:
        obeyed.append(request["command"])
        return {}

    control = Control(cast(Signals, NoSignals()), obey)
    control.open(tmp_path)
    with socket.socket(socket.AF_UNIX) as gone, socket.socket(socket.AF_UNIX) as waits:
        for client, command in ((gone, b"kill"), (waits, b"grow")):
            client.connect(str(tmp_path / SOCKET))
            client.sendall(b'{"command": "%s"}\n' % command)
        gone.close()
        waits.shutdown(socket.SHUT_WR)
        control.turn(0.0)
        waits.settimeout(5)
        assert waits.recv(100) == b"{}\n"
    assert obeyed == ["grow"]
    control.close()
