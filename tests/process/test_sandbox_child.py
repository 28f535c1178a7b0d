"""A process of the sandbox: it ends with all its children, and its pid file never names another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dtqs.deadline import Deadline
from dtqs.sandbox.child import SandboxProcess
from dtqs.sandbox.processes import end_leftover, family, identity, running, wait_gone
from tests.support.helpers import eventually

_ROOT = Path(__file__).resolve().parents[2]
_STUBBORN = "trap '' TERM INT; sleep 600 & while :; do wait; done"
_OWNER = """
import os, sys
from pathlib import Path
from dtqs.sandbox.child import SandboxProcess
folder = Path(sys.argv[1])
child = SandboxProcess("sleep", folder / "pid", folder / "log")
child.start(["sleep", "600"], os.environ)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child(tmp_path: Path) -> SandboxProcess:
    return SandboxProcess("child", tmp_path / "pid", tmp_path / "log")


def test_a_child_that_ignores_the_stop_is_killed_with_its_own_children(child: SandboxProcess, tmp_path: Path) -> None:
    child.start(["sh", "-c", _STUBBORN], os.environ)
    everything = eventually(lambda: members if len(members := family(child.pid)) == 2 else None)
    assert everything
    child.stop(0.2)
    child.stop(0.2)
    assert not child.alive
    assert wait_gone(everything, Deadline(5))
    assert running(tmp_path / "pid") is None


def test_a_frozen_child_goes_on_when_it_is_thawed(child: SandboxProcess) -> None:
    child.start(["sleep", "600"], os.environ)

    def state() -> str:
        return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]

    child.freeze()
    eventually(lambda: state() == "T")
    child.thaw()
    eventually(lambda: state() == "S")
    child.stop(5)


def test_a_pid_file_does_not_name_a_later_process_with_the_same_pid(child: SandboxProcess, tmp_path: Path) -> None:
    child.start(["sleep", "600"], os.environ)
    file = tmp_path / "pid"
    assert running(file) == child.pid
    copied = tmp_path / "copied"
    copied.write_text(file.read_text())
    assert running(copied) is None
    pid, started_at, rest = file.read_text().split(" ", 2)
    file.write_text(f"{pid} {int(started_at) - 1} {rest}")
    assert running(file) is None
    assert not end_leftover(file, Deadline(1))
    assert child.alive
    child.stop(5)


def test_the_processes_of_a_dead_leader_are_ended(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    command = ["sh", "-c", "sleep 600 & echo $!; read line"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as leader:
        assert leader.stdout
        left = int(leader.stdout.readline())
        file.write_text(identity(leader.pid, file))
        leader.kill()
        leader.wait(5)
        assert running(file) is None
        assert end_leftover(file, Deadline(1))
        assert wait_gone([left], Deadline(0))
    assert not file.exists()


def test_a_child_does_not_outlive_its_killed_owner(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path)],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout
        pid = int(owner.stdout.readline())
        assert running(tmp_path / "pid") == pid
        owner.kill()
        assert wait_gone([pid], Deadline(5))
