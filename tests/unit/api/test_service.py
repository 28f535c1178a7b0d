"""The reports of the API's master to systemd, read from a real notification socket."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtqs.api.server.service import ServiceReports, is_socket_activated
from dtqs.systemd import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "notify"))
        yield listener


def received(manager: socket.socket) -> list[str]:
    texts = []
    while True:
        try:
            texts.append(manager.recv(1000).decode())
        except BlockingIOError:
            return texts


def test_ready_is_reported_when_a_process_serves(manager: socket.socket) -> None:
    reports = ServiceReports(Notifier(manager.getsockname()))
    reports.turn(0.0, 2)
    assert received(manager) == []
    reports.turn(time.monotonic(), 2)
    reports.turn(time.monotonic(), 2)
    assert received(manager) == ["READY=1", "STATUS=serving with 2 processes"]


def test_a_reload_is_over_when_a_new_process_serves(manager: socket.socket) -> None:
    reports = ServiceReports(Notifier(manager.getsockname()))
    before = time.monotonic()
    reports.turn(before, 1)
    received(manager)
    reports.reloading()
    reports.turn(before, 2)
    (reloading,) = received(manager)
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    reports.turn(time.monotonic(), 1)
    assert received(manager) == ["READY=1"]


def test_a_refused_reload_is_in_the_status(manager: socket.socket) -> None:
    reports = ServiceReports(Notifier(manager.getsockname()))
    reports.turn(time.monotonic(), 2)
    received(manager)
    reports.refused("[api] port = x: a whole number\nand more")
    reports.turn(time.monotonic(), 2)
    reports.turn(time.monotonic(), 2)
    assert received(manager) == ["STATUS=serving with 2 processes; not reloaded: [api] port = x: a whole number"]
    reports.reloading()
    reports.turn(time.monotonic(), 2)
    assert received(manager)[-1] == "STATUS=serving with 2 processes"


def test_a_process_knows_whether_systemd_opened_its_port() -> None:
    assert is_socket_activated({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
    assert not is_socket_activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert not is_socket_activated({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"})
    assert not is_socket_activated({})


def test_systemd_is_asked_for_more_time_only_while_the_master_ends(manager: socket.socket) -> None:
    """`[api] shutdown_seconds` may be longer than TimeoutStopSec."""
    reports = ServiceReports(Notifier(manager.getsockname(), watchdog_seconds=30.0))
    reports.ending()
    assert received(manager) == []
    reports.stopping()
    reports.ending()
    reports.ending()
    assert received(manager) == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=10000000", "WATCHDOG=1"]
