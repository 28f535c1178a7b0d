"""A server for tests: this machine's own file system under an overlay, booted with systemd in a container.

Changes stay in memory and vanish with the container. It has no network but loopback.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.helpers import eventually
from tests.support.source import ROOT

SOURCE = "/opt/dtqs-src"
"""The checkout inside the container."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SITE = f"{SOURCE}/.venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
_ENTER = ("-m", "-u", "-i", "-n", "-p", "-C")

# The mounts live in a namespace of their own and vanish with it. Each line on standard input boots once.
_HOST = """
mount -t tmpfs -o size=6g overlay "$1" && mkdir "$1/upper" "$1/work" "$1/root" &&
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root" || exit 3
while read -r _; do
    setpriv --pdeathsig KILL -- systemd-nspawn --boot --quiet -D "$1/root" --machine="$2" --register=no --keep-unit \\
        --console=pipe --private-network --bind-ro="$3:$4" </dev/null
    echo "container ended: $?"
done
"""


def obstacle() -> str | None:
    """Return the reason why no server can be booted here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("systemd-nspawn", "nsenter", "unshare", "setpriv"):
        if not shutil.which(program):
            return f"needs {program}"
    if Path("/etc/dtqs").exists() or Path("/opt/dtqs").exists():
        return "DTQS is installed on this machine"
    if any(Path("/var/lib/postgresql").glob("*/*/postmaster.pid")):
        return "PostgreSQL of this machine runs, and its files cannot be copied while they change"
    for unit in ("postgresql", "rabbitmq-server"):
        if not any(
            Path(f"{folder}/{unit}.service").exists() for folder in ("/lib/systemd/system", "/etc/systemd/system")
        ):
            return f"needs the Debian package of {unit}"
    check = f"import ensurepip, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    if subprocess.run(["/usr/bin/python3", "-c", check], capture_output=True, check=False).returncode:
        return "needs /usr/bin/python3 of the version of .venv, with its venv module"
    return None


class BootedServer:
    """One container. `boot`, `run` commands in it, `power_off`, `boot` again; `close` ends all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "boot.log"
        name = f"dtqs-test-{os.getpid()}"
        mountpoint = folder / "overlay"
        mountpoint.mkdir()
        with self._log.open("wb") as log:
            self._host = subprocess.Popen(
                [
                    *("unshare", "-m", "--propagation", "private", "setpriv", "--pdeathsig", "KILL", "--"),
                    *("sh", "-c", _HOST, "sh", str(mountpoint), name, str(ROOT), SOURCE),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        self._leader = self._boots = 0

    def boot(self) -> None:
        assert self._host.stdin
        self._host.stdin.write(b"boot\n")
        self._host.stdin.flush()
        self._boots += 1
        eventually(self._is_up, 60, "systemd has booted")

    def run(self, *command: str, timeout_seconds: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return how it ended."""
        inside = ["nsenter", "-t", str(self._leader), *_ENTER, *command]
        return subprocess.run(
            inside,
            env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=3 * timeout_seconds,
            check=False,
        )

    def output(self, *command: str, timeout_seconds: float = 60, **environment: str) -> str:
        """Run a command that must succeed, and return its output."""
        done = self.run(*command, timeout_seconds=timeout_seconds, **environment)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command inside, and return at once."""
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "nsenter", "-t", str(self._leader), *_ENTER, *command],
            env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def install(self, source: str = SOURCE) -> str:
        """Run bin/install with the Python packages of the checkout, since no package index is in reach."""
        return self.output(f"{source}/bin/install", timeout_seconds=200, SITE_PACKAGES=SITE)

    def dtqs(self, *arguments: str) -> str:
        key = self.output("cat", "/etc/dtqs/admin.key")
        return self.output("dtqs", *arguments, DTQS_API_KEY=key)

    def sql(self, query: str) -> str:
        return self.output("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", "dtqs", "-c", query)

    def main_pid(self, unit: str) -> int:
        """Return the pid inside the container, or 0 if the service does not run."""
        return int(self.output("systemctl", "show", "-P", "MainPID", unit))

    def is_active(self, unit: str) -> bool:
        return self.run("systemctl", "is-active", "-q", unit).returncode == 0

    def journal(self, unit: str) -> str:
        return self.output("journalctl", "-u", unit, "--no-pager", "-o", "cat")

    def power_off(self) -> None:
        self.run("systemctl", "poweroff")
        eventually(lambda: self._said().count("container ended: ") == self._boots, 120, "the container has ended")
        self._leader = 0

    def close(self) -> None:
        """End the container at once; what it wrote vanishes."""
        if self._leader:
            subprocess.run(["kill", "-KILL", str(self._leader)], capture_output=True, check=False)
        assert self._host.stdin
        self._host.stdin.close()
        self._host.wait(60)

    def _said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _find_leader(self) -> int:
        """Return the pid of the container's systemd: the child of systemd-nspawn."""
        found = _children(_children([self._host.pid]))
        return found[0] if found else 0

    def _is_up(self) -> bool:
        assert self._host.poll() is None, self._said()
        # systemd-nspawn first has another child, which forks systemd and ends
        self._leader = self._find_leader()
        return self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")


def _children(parents: Sequence[int]) -> list[int]:
    listed = [Path(f"/proc/{parent}/task/{parent}/children") for parent in parents]
    return [int(pid) for path in listed if path.exists() for pid in path.read_text().split()]
