"""bin/quickstart after a failed step: it stops at once, and stops the servers that it started."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.processes import running

_ROOT = Path(__file__).resolve().parents[2]
_PARTS = ("sandbox", "rabbitmq", "epmd", "postgresql")


@pytest.fixture
def checkout(servers_dir: Path) -> Path:
    """A clean copy of this checkout."""
    copy = servers_dir / "check out"
    shutil.copytree(_ROOT, copy, ignore=shutil.ignore_patterns(".*", "var", "tests", "__pycache__", "*.egg-info"))
    return copy


def test_servers_are_stopped_when_the_packages_cannot_be_installed(checkout: Path) -> None:
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        ["bin/quickstart", "--detach"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == os.EX_UNAVAILABLE, done.stdout + done.stderr
    assert "The packages in conf/constraints.txt could not be installed" in done.stderr
    places = SandboxPaths(checkout / "var")
    assert "Starting PostgreSQL and RabbitMQ" in places.log("sandbox").read_text(), "the servers were started"
    assert [name for name in _PARTS if running(places.pid_file(name))] == []
    with (checkout / ".setup.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    stop = subprocess.run(
        ["bin/quickstart", "--stop"], cwd=checkout, capture_output=True, text=True, timeout=20, check=False
    )
    assert (stop.returncode, stop.stderr) == (0, "")
    # a half-installed environment is removed and made again
    half = checkout / ".venv/half a package"
    half.touch()
    assert (
        subprocess.run(
            ["bin/quickstart"], cwd=checkout, env=environment, capture_output=True, timeout=100, check=False
        ).returncode
        == os.EX_UNAVAILABLE
    )
    assert not half.exists()
