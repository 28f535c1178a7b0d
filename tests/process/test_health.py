"""`dtqs health` sees a running supervisor, quickly and without PostgreSQL."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.fix_supervisor import ROOT, Node, Start

PROBE = "import sys; sys.argv[1:1] = ['health']; import dtqs.__main__"


def probe(node: Node, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run the probe as `dtqs health`. It ends during the imports of `python -m dtqs`, or not at all."""
    environment = os.environ | {"DTQS_SUPERVISOR_STATE_DIR": str(node.folder / "state"), "DTQS_API_PORT": "1"}
    environment |= variables
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20
    )
    assert not done.stderr
    return done.returncode, done.stdout


def test_a_probe_tells_ready_from_draining_and_dead(start_node: Start) -> None:
    node = start_node("busy")
    node.wait_for("ready")
    node.wait_for_log("all children ready")
    node.wait_until(lambda: probe(node)[0] == 0, "ready")
    status, said = probe(node, "any")
    assert (status, said[:28]) == (0, "ready: 2 of 2 children ready")
    node.signal(signal.SIGTERM)
    node.wait_for_log("draining")
    node.wait_until(lambda: probe(node) == (1, "not ready: the node ends, and takes no more tasks\n"), "draining")
    assert probe(node, "--live")[0] == 0
    node.process.kill()
    node.process.wait(10)
    assert (probe(node)[0], probe(node, "--live")[1][:38]) == (1, "dead: no supervisor (none runs with th")
    assert "and no API" in probe(node, "any")[1]


def test_a_node_without_postgresql_lives_and_is_not_ready(start_node: Start) -> None:
    node = start_node("waits")
    node.wait_for("waits")
    node.wait_until(lambda: "1 wait for PostgreSQL" in probe(node)[1], "the wait is seen")
    assert probe(node)[0] == 1
    assert probe(node, "--live")[0] == 0


def test_a_probe_sees_a_node_that_loads_its_program_again_or_has_another_state_folder(start_node: Start) -> None:
    node = start_node("steady")
    node.wait_for_log("all children ready")
    edited = {"DTQS_CONFIG": str(node.folder / "dtqs.ini"), "DTQS_SUPERVISOR_STATE_DIR": ""}
    (node.folder / "dtqs.ini").write_text(f"[supervisor]\nstate_dir = {node.folder / 'edited'}\n")
    effect = f"; state_dir = {node.folder / 'edited'} has effect after a restart\n"
    assert probe(node, "--live", **edited)[1].endswith(f"s ago{effect}")
    # another file, and another node with the same file and a variable: neither is this node
    for other in ({"DTQS_CONFIG": "/etc/other.ini"}, {"DTQS_SUPERVISOR_STATE_DIR": str(node.folder / "edited")}):
        assert probe(node, "--live", **edited | other)[1].startswith("dead: no supervisor")
    loads = f"alive: the supervisor (pid {node.process.pid}) loads its program again"
    (node.folder / "slow").touch()
    node.signal(signal.SIGHUP)
    node.wait_for_log("executing the code on disk")
    node.wait_until(lambda: probe(node, "--live") == (0, f"{loads}\n"), "the probe says so")
    assert probe(node, "--live", **edited) == (0, f"{loads}{effect}")
    (node.folder / "slow").unlink()
    node.wait_for_log("rolling restart done")
    assert probe(node, "--live")[1].endswith(" s ago\n")


def test_a_probe_imports_almost_nothing(start_node: Start) -> None:
    node = start_node("steady")
    node.wait_for_log("all children ready")
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stdout)); {PROBE}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20,
        env=os.environ | {"DTQS_SUPERVISOR_STATE_DIR": str(node.folder / "state")},
    )  # fmt: skip
    assert not {"click", "logging", "socket", "pydantic", "configparser"} & set(done.stdout.split())
    times = []
    for _ in range(5):
        began = time.monotonic()
        probe(node)
        times.append(time.monotonic() - began)
    assert min(times) < 0.3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json"],
        ["any", "--config", "/nowhere/dtqs.ini"],
        ["--live", "--config=/nowhere/dtqs.ini", "--json", "supervisor"],
    ],
)
def test_a_probe_with_options_imports_as_little(arguments: list[str]) -> None:
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {PROBE}"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20,
        env=os.environ | {"DTQS_SUPERVISOR_STATE_DIR": "/nowhere/state", "DTQS_API_PORT": "1"},
    )  # fmt: skip
    assert not {"click", "logging", "socket", "pydantic", "configparser"} & set(done.stderr.split())
    reason = json.loads(done.stdout)["reason"] if "--json" in arguments else done.stdout
    assert (done.returncode, reason[:20]) == (1, "dead: no supervisor ")
    if "--json" not in arguments or len(arguments) > 1:
        assert "/nowhere/dtqs.ini cannot be read: No such file" in reason
