"""`dtqs up` and `dtqs down`: starts, restarts, kept data and clean ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from dtqs.client_env import read_client_env
from dtqs.deadline import Deadline
from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.processes import running, wait_gone
from tests.support.helpers import eventually

_ROOT = Path(__file__).resolve().parents[2]
_NAMES = ("sandbox", "supervisor", "api", "rabbitmq", "epmd", "postgresql")
_PARTS = ("supervisor", "api", "rabbitmq", "postgresql")


class Sandbox:
    """A folder in which a user types commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = SandboxPaths(folder / "var")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dtqs", *arguments]

    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("DTQS_")},
            "PYTHONPATH": str(_ROOT),
        }

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a dtqs command in the folder; return its output."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def pid(self, name: str) -> int | None:
        return running(self.places.pid_file(name))

    def pids(self, names: Sequence[str] = _NAMES) -> list[int]:
        return [pid for name in names if (pid := self.pid(name))]

    def echo(self, text: str) -> None:
        """Submit a task and check that it completes."""
        assert text in self.run("submit", "echo", f"text={text}", "--wait", "--json")

    def is_ready(self) -> bool:
        with suppress(httpx.HTTPError, KeyError):
            return (
                httpx.get(f"{read_client_env(self.places.client_env)['DTQS_URL']}/readyz", timeout=2).status_code == 200
            )
        return False


@pytest.fixture(scope="module")
def place(servers_dir: Path) -> Iterator[Sandbox]:
    """A folder for all tests of this file: a start of the four parts takes five seconds of processor time."""
    folder = servers_dir / "sandbox"
    folder.mkdir()
    one = Sandbox(folder)
    yield one
    one.run("down")
    assert one.pids() == []


@pytest.fixture
def sandbox(place: Sandbox) -> Sandbox:
    """The folder, with a running sandbox of one worker. A test may kill its processes."""
    # not 8080, which another program may take in between
    port = () if place.places.ini.exists() else ("--api-port", str(free_ports(1)[0]))
    place.run("up", "--detach", "--workers", "1", *port)
    return place


def test_a_second_sandbox_beside_the_first_ends_with_ctrl_c(sandbox: Sandbox) -> None:
    assert sandbox.places.client_env.stat().st_mode & 0o777 == 0o600
    assert sandbox.places.ini.stat().st_mode & 0o777 == 0o600
    other = SandboxPaths(sandbox.folder / "other")
    with (sandbox.folder / "out").open("w") as log:
        process = subprocess.Popen(
            sandbox.command("up", "--workers", "1", "--var", "other"),
            cwd=sandbox.folder,
            env=sandbox.environment(),
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: "Ctrl-C" in (sandbox.folder / "out").read_text(), 60, "the output says how to stop it")
        ours, others = read_client_env(sandbox.places.client_env), read_client_env(other.client_env)
        assert ours["DTQS_URL"] != others["DTQS_URL"]
        foreign = {"Authorization": f"Bearer {others['DTQS_API_KEY']}"}
        assert httpx.get(f"{ours['DTQS_URL']}/tasks", headers=foreign).status_code == 401
        output = sandbox.run("up", "--detach")
        assert "runs already" in output
        assert f"open {ours['DTQS_URL']}/ in a browser" in output
        assert "dtqs mails" in output
        everything = [pid for name in _NAMES if (pid := running(other.pid_file(name)))]
        assert len(everything) == len(_NAMES)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert wait_gone(everything, Deadline(0))
    finally:
        sandbox.run("down", "--var", "other")
        process.wait(60)
    sandbox.echo("ours is still there")


def test_tasks_submitted_before_a_crash_are_kept(sandbox: Sandbox) -> None:
    sandbox.echo("before")
    client = sandbox.places.client_env.read_text()
    everything = sandbox.pids()
    assert len(everything) == len(_NAMES)
    for pid in everything:
        os.kill(pid, signal.SIGKILL)
    assert wait_gone(everything, Deadline(10))
    assert "runs already" not in sandbox.run("up", "--detach")
    assert sandbox.places.client_env.read_text() == client, (
        "the same key and port, although processes of the API outlived the sandbox"
    )
    assert "completed" in sandbox.run("tasks")
    sandbox.echo("after")
    assert "workers = 1" in sandbox.places.ini.read_text()


def test_dead_parts_are_restarted_and_all_end_with_a_killed_sandbox(sandbox: Sandbox) -> None:
    before = {name: sandbox.pid(name) for name in _PARTS}
    for pid in before.values():
        assert pid
        os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: all(sandbox.pid(name) not in (None, before[name]) for name in _PARTS),
        20,
        "all four parts have been started again",
    )
    eventually(sandbox.is_ready, 30, "the API is ready again")
    sandbox.echo("again")
    everything, parent = sandbox.pids(), sandbox.pid("sandbox")
    assert parent
    os.kill(parent, signal.SIGKILL)
    assert wait_gone(everything, Deadline(20))


def test_the_servers_start_without_packages_and_end_with_the_command_that_started_them(servers_dir: Path) -> None:
    sandbox = Sandbox(servers_dir / "without packages")
    sandbox.folder.mkdir()
    reading, report = os.pipe()
    word, writing = os.pipe()
    # without site-packages, as in a first bin/quickstart, which installs them meanwhile
    command = [sys.executable, "-S", "-m", "dtqs.sandbox", str(sandbox.places.var), "", "", str(report), str(word)]
    process = subprocess.Popen(
        command, cwd=sandbox.folder, env=sandbox.environment(), pass_fds=[report, word], start_new_session=True
    )
    os.close(report)
    os.close(word)
    eventually(lambda: sandbox.pid("rabbitmq") and sandbox.pid("postgresql"), 30, "the servers have been started")
    started = sandbox.pids()
    os.close(writing)
    assert process.wait(60) == os.EX_UNAVAILABLE
    assert wait_gone(started, Deadline(0))
    with os.fdopen(reading, encoding="utf-8") as output:
        assert "error: the command that started the servers ended" in output.read()
