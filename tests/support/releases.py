"""Earlier versions of the program out of this repository's history, and nodes that run any version."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from dtqs.sandbox.places import SandboxPaths, environment_without, write_ini
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.processes import family
from dtqs.sandbox.wakeup import ReadySocket
from dtqs.store.driver.schema import SCHEMA_COMPATIBLE, SCHEMA_VERSION
from tests.support.fix_system import Sections, _end, _merge
from tests.support.helpers import eventually

ROOT = Path(__file__).parents[2]
_CHANGED = "^SCHEMA_VERSION = "
_READY_SECONDS = 30.0
_COMMITS = 20
_COMMAND_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Release:
    """A version of the program: the folder that holds it, and folders of its own task types."""

    name: str
    tree: Path
    packages: tuple[Path, ...] = ()

    @property
    def path(self) -> str:
        return ":".join(map(str, (self.tree, *self.packages)))


def old_release(folder: Path, *, oldest: bool) -> Release:
    """Return the last version before today's schema, or the oldest one that today's schema declares compatible.

    Skip the test where the history is not there: in a source archive, or in a shallow clone.
    """
    versions = _commits_by_version()
    version = (min if oldest else max)(versions, default=0)
    if not version:
        pytest.skip(f"this checkout has no history of schema versions {SCHEMA_COMPATIBLE} to {SCHEMA_VERSION - 1}")
    for commit in _git("rev-list", f"--max-count={_COMMITS}", versions[version]).split():
        tree = folder / commit[:9]
        tree.mkdir(parents=True)
        archive = _run(["git", "archive", commit], ROOT).stdout
        subprocess.run(["tar", "-x", "-C", str(tree)], input=archive, check=True, timeout=_COMMAND_SECONDS)
        release = Release(f"schema {version} ({commit[:9]})", tree)
        if _starts(release):
            return release
    raise AssertionError(f"no commit of schema {version} starts: {versions[version]} and {_COMMITS - 1} before it")


def _starts(release: Release) -> bool:
    """Return whether this Python can run the commit: the history is no list of releases, and has faulty ones."""
    commands = [[sys.executable, "-m", "dtqs", command, "--help"] for command in ("api", "supervisor")]
    environment = os.environ | {"PYTHONPATH": release.path}
    return not any(_run(each, release.tree, environment).returncode for each in commands)


def _commits_by_version() -> dict[int, str]:
    """Return the last commit of each compatible version of the schema before today's."""
    found: dict[int, str] = {}
    for changed in _git("log", "--format=%H", "-G", _CHANGED, "--", "dtqs/store").split():
        before = f"{changed}^"
        match = re.search(r"= (\d+)", _git("grep", "-h", _CHANGED, before, "--", "dtqs/store"))
        if match and SCHEMA_COMPATIBLE <= int(match[1]) < SCHEMA_VERSION:
            found.setdefault(int(match[1]), _git("rev-parse", before).strip())
    return found


def _git(*arguments: str) -> str:
    """Return the output of git, or nothing where git, the history or a match is missing."""
    try:
        return _run(["git", *arguments], ROOT).stdout.decode()
    except FileNotFoundError:
        return ""


def _run(
    command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, timeout=_COMMAND_SECONDS
    )


class Node:
    """A host with a port, a state folder and one configuration file, on which any version may run."""

    def __init__(self, folder: Path, settings: Sections) -> None:
        folder.mkdir(parents=True)
        self.folder, port = folder, free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        settings = _merge(settings, {"api": {"port": port}, "supervisor": {"state_dir": folder / "state"}})
        places = SandboxPaths(folder)
        write_ini(places, settings)
        self._environment = environment_without(settings) | {"DTQS_CONFIG": str(places.ini)}
        self.release: Release | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, release: Release, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of that version."""
        return subprocess.run(
            [sys.executable, "-m", "dtqs", *arguments],
            env=self._environment | {"PYTHONPATH": release.path},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, release: Release) -> None:
        """Start workers and API, and wait until both are ready."""
        self.release = release
        with ReadySocket() as listener:
            supervisor, api = self._spawn("supervisor", {"NOTIFY_SOCKET": listener.address}), self._spawn("api", {})
            eventually(lambda: supervisor.poll() is not None or listener.seen(), _READY_SECONDS, "workers are ready")
        eventually(lambda: api.poll() is not None or self._answers(), _READY_SECONDS, "the API is ready")
        assert supervisor.poll() is None, self.log("supervisor")
        assert api.poll() is None, self.log("api")

    def leave(self) -> None:
        """End API and workers as systemd does, and check that both end by themselves."""
        for name in ("api", "supervisor"):
            process = self._processes[name]
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, self.log(name)

    def pids(self) -> list[int]:
        return family(self._processes["supervisor"].pid)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End every process. Safe to call twice."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            _end(process)

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200
        return False

    def _spawn(self, name: str, more: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        assert self.release
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "dtqs", name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                env={**self._environment, "PYTHONPATH": self.release.path, **more},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._processes[name]
