"""The operator's socket and signals, at a running supervisor with small children."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dtqs.operator_socket import SOCKET, ask
from tests.process.supervised_node import TASK_ID
from tests.support.fix_supervisor import ROOT, Node, Start, alive

ANSWER_SECONDS = 5.0


def asked(node: Node, command: str, **given: str) -> Any:
    return ask(node.folder / "state" / "node-0", {"command": command} | given, ANSWER_SECONDS)


def states(node: Node) -> dict[str, str]:
    return {child["slot"]: child["state"] for child in asked(node, "status")["children"] if not child["leaves"]}


def connected(node: Node) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(ANSWER_SECONDS)
    client.connect(str(node.folder / "state" / "node-0" / SOCKET))
    return client


def test_pools_grow_and_shrink_and_a_killed_slot_names_the_operator(start_node: Start) -> None:
    node = start_node("steady+steady")
    node.wait_for_log("all children ready")
    place = node.folder / "state" / "node-0" / SOCKET
    assert place.stat().st_mode & 0o777 == 0o600

    status = asked(node, "status")
    assert (status["node"], status["pid"], status["phase"]) == ("node-0", node.process.pid, "running")
    assert status["pools"] == {"default": {"workers": 2, "ready": 2, "busy": 0}}
    assert asked(node, "grow") == {"pool": "default", "workers": 3, "before": 2}
    node.signal(signal.SIGTTIN)
    node.wait_until(lambda: states(node).get("default/3") == "ready", "the signal has added a worker")
    for number in (3, 2, 1):
        assert asked(node, "shrink", pool="default")["workers"] == number
    node.wait_until(lambda: len(asked(node, "status")["children"]) == 2, "three workers have left")
    assert "pool default has 1, and at least 1 must stay" in asked(node, "shrink")["error"]
    node.signal(signal.SIGTTOU)
    node.wait_for_log("signal not obeyed")
    assert "no such pool: 'films'; allowed: default" in asked(node, "grow", pool="films")["error"]

    pid = next(child["pid"] for child in asked(node, "status")["children"] if child["slot"] == "default/0")
    assert asked(node, "kill", slot="default/0") == {"killed": "default/0", "pid": pid}
    node.wait_until(lambda: not alive(pid), "it is dead")
    node.wait_until(lambda: states(node)["default/0"] == "ready", "it is replaced")
    [death] = node.reports("settled")[-1]["deaths"]
    assert death["cause"] == "killed by an operator: dtqs ctl kill default/0"
    assert (
        "no child in the slot 'default/7'; allowed: default/0, keeper" in asked(node, "kill", slot="default/7")["error"]
    )

    node.signal(signal.SIGUSR2)
    node.wait_for_log("state of a child slot=default/0")


def test_a_drained_node_stays_and_takes_nothing_until_it_resumes(start_node: Start) -> None:
    node = start_node("busy+steady")
    node.wait_for_log("all children ready")
    assert asked(node, "drain") == {"paused": True, "finishing": 2}
    node.wait_for("drained", "default/1")
    node.wait_until(lambda: states(node)["default/1"] == "paused", "its slot stays empty")
    status = asked(node, "status")
    assert status["phase"] == "paused"
    assert states(node) == {"keeper": "ready", "default/0": "draining", "default/1": "paused"}
    assert [child["task_id"] for child in status["children"] if child["slot"] == "default/0"] == [TASK_ID]
    assert status["summary"].startswith("paused by an operator; ")

    reload = subprocess.run(
        [sys.executable, "-m", "dtqs", "ctl", "reload", "--pid", str(node.process.pid)], cwd=ROOT, text=True,
        capture_output=True, timeout=60, env=os.environ | {"DTQS_SUPERVISOR_STATE_DIR": str(node.folder / "state")},
    )  # fmt: skip
    assert (reload.returncode, "the node is paused" in reload.stderr) == (os.EX_TEMPFAIL, True), reload
    assert asked(node, "resume") == {"paused": False}
    node.wait_for("ready", count=2)
    node.wait_until(lambda: states(node)["default/1"] == "ready", "the pool is filled")
    assert "not paused" in asked(node, "resume")["error"]
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK


def test_the_socket_answers_while_children_hang_and_clients_misbehave(start_node: Start) -> None:
    node = start_node("steady", beat_timeout_seconds=60)
    pid = node.wait_for("ready")["pid"]
    node.wait_for_log("all children ready")
    os.kill(pid, signal.SIGSTOP)
    silent = [connected(node) for _ in range(10)]
    for request in (b"\n", b"[1]\n", b'{"command": [1]}\n', b"\xff" * 4096, b"[" * 4000 + b"\n"):
        with connected(node) as client:
            client.sendall(request)
            assert "error" in json.loads(client.recv(65536)), request
    began = time.monotonic()
    assert states(node)["default/0"] == "ready"
    assert time.monotonic() - began < 2, "a turn of the loop"
    refused = [connected(node) for _ in range(30)]
    assert b"are connected already" in refused[-1].recv(65536)
    for client in silent:
        assert client.recv(65536) == b"", "a client that asks nothing is closed"
        client.close()
    for client in refused:
        client.close()
    node.wait_until(lambda: states(node), "there is room again")
    os.kill(pid, signal.SIGCONT)


def test_a_log_file_is_followed_by_all_processes_and_no_signal_ends_one(start_node: Start, tmp_path: Path) -> None:
    own = tmp_path / "own log"
    own.touch()
    node = start_node("raises_later+steady")
    pid = node.wait_for("ready", "default/1")["pid"]
    node.wait_until(lambda: "child ready" in own.read_text(), "the log is in the file")
    for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1):
        os.kill(pid, number)

    own.rename(tmp_path / "rotated")
    node.signal(signal.SIGUSR1)
    node.wait_until(lambda: own.exists() and "log file opened again" in own.read_text(), "the supervisor writes there")
    # a child looks at most once a second, when it writes
    seen_at = time.monotonic()
    node.wait_until(lambda: time.monotonic() - seen_at > 1.1, "the children look again")
    (tmp_path / "go").touch()
    node.wait_until(lambda: "ZeroDivisionError: from a child" in own.read_text(), "a child writes there")
    assert "ZeroDivisionError" not in (tmp_path / "rotated").read_text()
    assert node.reports("ready", "default/1")[-1]["pid"] == pid
    assert states(node)["default/1"] == "ready"
