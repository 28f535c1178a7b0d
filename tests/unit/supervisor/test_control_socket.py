"""The operator's socket, without a node."""

import contextlib
import os
import resource
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from dtqs.operator_socket import SOCKET
from dtqs.supervisor.control import Control
from dtqs.supervisor.signals import Signals


class NoSignals:
    """The test calls `turn` itself. `watched` has the events of each descriptor."""

    def __init__(self) -> None:
        self.watched: dict[int, int] = {}

    def watch(self, descriptor: int, events: int) -> None:
        self.watched[descriptor] = events


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


def test_without_a_free_descriptor_the_listener_wakes_nobody_for_a_second(tmp_path: Path) -> None:
    signals = NoSignals()
    control = Control(cast(Signals, signals), lambda request, uid: {"fine": True})
    control.open(tmp_path)
    (listener,) = signals.watched
    limits, kept = resource.getrlimit(resource.RLIMIT_NOFILE), list[int]()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / SOCKET))
        client.sendall(b"{}\n")
        client.settimeout(5)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 50, limits[1]))
            with contextlib.suppress(OSError):
                while True:
                    kept.append(os.dup(0))
            control.turn(100.0)
            assert (signals.watched[listener], control.next_end()) == (0, 101.0)
            control.turn(101.0)
            assert (signals.watched[listener], control.next_end()) == (0, 102.0)
        finally:
            for each in kept:
                os.close(each)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        control.turn(101.5)
        assert control.next_end() == 102.0, "it waits out its second"
        control.turn(102.0)
        assert client.recv(100) == b'{"fine": true}\n'
        assert signals.watched[listener]
        assert control.next_end() == float("inf")
    control.close()
