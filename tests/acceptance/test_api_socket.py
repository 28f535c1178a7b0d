"""The API on a socket of the service manager: a restart refuses no connection, and READY means that the API serves."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest

from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.wakeup import ReadySocket
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

_START = 'exec env LISTEN_PID=$$ LISTEN_FDS=1 "$0" -m dtqs api'


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A listening socket as descriptor 3, where systemd puts it."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield listener


def start(system: System, listener: socket.socket) -> subprocess.Popen[bytes]:
    """Start the API as systemd does, and wait for its READY."""

    def put_socket_in_place() -> None:
        os.dup2(listener.fileno(), 3)

    with ReadySocket() as manager, (system.folder / "api.log").open("ab") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", _START, sys.executable],
            env={**system.environment, "NOTIFY_SOCKET": manager.address},
            cwd=system.folder,
            stdout=log,
            stderr=log,
            preexec_fn=put_socket_in_place,
            pass_fds=[3, listener.fileno()],
        )

        def ready() -> bool:
            assert process.poll() is None, system.log("api")
            return manager.seen()

        eventually(ready, 60, "the API reports READY")
    return process


def test_a_restart_on_the_managers_socket_refuses_no_connection(system: Factory, port: socket.socket) -> None:
    one = system(supervisor=False, api=False)
    url = f"http://127.0.0.1:{port.getsockname()[1]}"
    process = start(one, port)
    headers = {"Authorization": f"Bearer {one.key}"}
    assert httpx.get(f"{url}/readyz", headers=headers, timeout=5).status_code == 200
    answers: list[int] = []
    over = threading.Event()

    def submit() -> None:
        while not over.is_set():
            # a new connection for each request, as many clients do
            sent = httpx.post(f"{url}/submit", json={"task_type": "echo", "payload": {}}, headers=headers, timeout=60)
            answers.append(sent.status_code)

    clients = [threading.Thread(target=submit) for _ in range(3)]
    for client in clients:
        client.start()
    eventually(lambda: len(answers) > 20, 30, "submits are answered")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process = start(one, port)
    before = len(answers)
    eventually(lambda: len(answers) > before + 20, 30, "submits are answered after the restart")
    over.set()
    for client in clients:
        client.join(60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert set(answers) == {202}
    assert one.rows("SELECT count(*) FROM tasks") == [(len(answers),)]


def test_a_reload_keeps_the_socket_although_the_configured_port_changes(system: Factory, port: socket.socket) -> None:
    one = system(supervisor=False, api=False)
    process = start(one, port)
    text = one.config_path.read_text(encoding="utf-8")
    other = free_ports(1)[0]
    one.config_path.write_text(text.replace(f"port = {one.config.api.port}", f"port = {other}"), encoding="utf-8")
    process.send_signal(signal.SIGHUP)
    eventually(lambda: "Hang up" in one.log("api") or "reload" in one.log("api").lower(), 30, "the API reloads")
    url, headers = f"http://127.0.0.1:{port.getsockname()[1]}", {"Authorization": f"Bearer {one.key}"}
    for _ in range(20):
        assert httpx.get(f"{url}/readyz", headers=headers, timeout=20).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{other}/readyz", timeout=5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
