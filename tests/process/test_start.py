"""The start of a real node that cannot begin: its last log line gives the reason, and it obeys a stop at once."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.helpers import eventually

ROOT = Path(__file__).parents[2]


class Node:
    def __init__(self, folder: Path, dsn: str, **environment: str) -> None:
        self._log = folder / "log"
        ini = (
            f"[postgresql]\ndsn = {dsn}\n[supervisor]\nstate_dir = {folder}/state\nboot_timeout_seconds = 1\n"
            f"[files]\ndirectory = {folder}/files\n"
        )
        (folder / "dtqs.ini").write_text(
            f"{ini}[rabbitmq]\nurl = amqp://127.0.0.1:1/\n[pool:default]\nworkers = 2\n", encoding="utf-8"
        )
        ours = {"DTQS_CONFIG": str(folder / "dtqs.ini"), "PYTHONPATH": str(ROOT), **environment}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dtqs", "supervisor"], env=os.environ | ours, stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")


Start = Callable[..., Node]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Node] = []

    def begin(dsn: str, **environment: str) -> Node:
        made.append(Node(tmp_path, dsn, **environment))
        return made[-1]

    yield begin
    for node in made:
        node.process.kill()
        node.process.wait(10)


def test_a_node_without_its_database_waits_and_then_ends_with_the_reason(start: Start, dsn: str) -> None:
    node = start(f"{dsn}x", DTQS_SUPERVISOR_RESTART_LIMIT="2")
    assert node.process.wait(60) == os.EX_TEMPFAIL
    last = node.log.splitlines()[-1]
    assert "waiting for PostgreSQL" in node.log
    assert "stopped status=75 reason=default/" in last
    assert "does not exist" in last


def test_a_password_that_postgresql_refuses_ends_the_node_at_once(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse_all, args=(server,), daemon=True).start()
        node = start(f"postgresql://dtqs@127.0.0.1:{server.getsockname()[1]}/dtqs?sslmode=disable&gssencmode=disable")
        assert node.process.wait(60) == os.EX_CONFIG
    assert "password authentication failed" in node.log.splitlines()[-1]


def refuse_all(server: socket.socket) -> None:
    """Answer every login as PostgreSQL answers a wrong password."""
    fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "dtqs"\0\0'
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            client.recv(8192)
            client.sendall(b"E" + (4 + len(fields)).to_bytes(4, "big") + fields)


@pytest.mark.parametrize("away", ["refuses connections", "answers nothing"])
def test_a_node_that_waits_for_postgresql_is_not_late_and_stops_at_once(start: Start, away: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = 1 if away == "refuses connections" else server.getsockname()[1]
        node = start(f"postgresql://dtqs@127.0.0.1:{port}/dtqs")
        eventually(lambda: node.log.count("child started") == 3, 20, "all children have started")
        if away == "refuses connections":
            eventually(lambda: node.log.count("waiting for PostgreSQL") >= 2, 20, "the workers wait")
            signal.sigtimedwait((), 1.5)
            assert "not ready within" not in node.log
        began = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(30) == 0
        assert time.monotonic() - began < 4.5, node.log


def test_an_import_that_hangs_ends_the_start_and_is_named_in_the_log(start: Start, tmp_path: Path) -> None:
    about = tmp_path / "packages" / "hanging-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[dtqs.processors]\nhanging = hanging:hanging\n", encoding="utf-8")
    (tmp_path / "packages" / "hanging.py").write_text("import time\ntime.sleep(1000)\n", encoding="utf-8")
    node = start("postgresql://dtqs@127.0.0.1:1/dtqs", PYTHONPATH=f"{ROOT}:{tmp_path}/packages")
    assert node.process.wait(60) == os.EX_CONFIG
    assert "the import of hanging (line 2 of " in node.log
    assert "did not end within [supervisor] boot_timeout_seconds = 1" in node.log
