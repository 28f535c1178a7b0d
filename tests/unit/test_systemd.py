"""Messages to the service manager, which never do harm."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtqs.systemd import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "notify"))
        yield listener


def heard(manager: socket.socket) -> list[str]:
    texts = []
    while True:
        try:
            texts.append(manager.recv(1000).decode())
        except BlockingIOError:
            return texts


def test_a_status_is_sent_when_it_has_changed(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    for text in ("one", "one", "two"):
        notifier.status(text)
    assert heard(manager) == ["STATUS=one", "STATUS=two"]


def test_the_watchdog_is_notified_at_half_its_limit(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname(), watchdog_seconds=4.0)
    for now in (10.0, 11.0, 12.0, 13.9, 14.0):
        notifier.ping(now)
    assert heard(manager) == ["WATCHDOG=1"] * 3
    assert notifier.turn_seconds == 1.0


def test_the_watchdog_waits_longer_while_a_program_is_executed(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname(), watchdog_seconds=30.0)
    notifier.allow_silence(10.0)
    notifier.allow_silence(120.0)
    notifier.end_silence()
    assert heard(manager) == ["WATCHDOG_USEC=120000000\nWATCHDOG=1", "WATCHDOG_USEC=30000000\nWATCHDOG=1"]
    Notifier(manager.getsockname()).allow_silence(120.0)
    assert heard(manager) == []


def test_the_environment_is_read_once_and_cleared(manager: socket.socket) -> None:
    environment = {
        "NOTIFY_SOCKET": manager.getsockname(),
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    notifier = Notifier.from_environment(environment)
    notifier.ready()
    notifier.ping(1.0)
    assert heard(manager) == ["READY=1", "WATCHDOG=1"]
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    "watchdog",
    [{"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {}],
)
def test_a_watchdog_for_another_process_or_an_invalid_one_is_not_notified(
    manager: socket.socket, watchdog: dict[str, str]
) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()} | watchdog)
    notifier.ping(1.0)
    assert heard(manager) == []


def test_a_reload_carries_the_monotonic_time(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    notifier.reloading()
    notifier.reloaded()
    assert heard(manager) == [], "it is not ready yet, and must not say so"
    notifier.ready()
    notifier.reloading()
    notifier.reloaded()
    first, text, last = heard(manager)
    assert text.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert first == last == "READY=1"


def test_an_absent_manager_is_no_error(tmp_path: Path) -> None:
    for address in (None, "", str(tmp_path / "absent"), "@absent", "x" * 300):
        notifier = Notifier(address, watchdog_seconds=1.0)
        notifier.ready()
        notifier.stopping()
        notifier.extend(5.0)
        notifier.ping(5.0)
