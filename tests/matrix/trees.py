"""Trees of Debian's releases with the servers of that release, in one folder that all checkouts share.

A tree is made once. It is about 900 MB, since Erlang and its documentation are large.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("DTQS_TEST_MATRIX_CACHE") or "/var/tmp/dtqs-test-matrix")
_PACKAGES = {
    "bookworm": ("postgresql-15", "rabbitmq-server", "pgbouncer"),
    "trixie": ("postgresql-17", "rabbitmq-server", "pgbouncer"),
    "forky": ("postgresql-18", "rabbitmq-server"),
}
_SCRIPT = "/usr/share/debootstrap/scripts/sid"
"""An older debootstrap does not know the newest release, but all releases since 2011 share this script."""
_PRIVATE = ("unshare", "--mount", "--propagation", "private")
_ENTER = (
    *(*_PRIVATE, "sh", "-c"),
    'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"',
)
"""RabbitMQ and the installation of some packages need /proc. The mount ends with the command's own namespace."""
_MADE = "made-by-test-matrix"
_BUILD_SECONDS, _RUN_SECONDS = 900, 120


class NotAvailable(Exception):
    """Something that cannot be had here, with the reason."""


class ServerFailed(Exception):
    """A server that is here does not start."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One release of Debian, unpacked."""

    path: Path

    def command(self, user: str, *command: str, death_signal: str = "KILL") -> list[str]:
        """Return the command as that user inside the tree. The end of the matrix sends it `death_signal`."""
        # chroot forgets the death signal when it changes the user, so setpriv does both inside
        as_user = ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--pdeathsig", death_signal, "--")
        return [*_ENTER, str(self.path), *as_user, *command]

    def run(self, user: str, *command: str, text: str = "", **variables: str) -> str:
        """Run a command inside and return its output. Raises ServerFailed."""
        try:
            return subprocess.run(
                self.command(user, *command),
                input=text,
                capture_output=True,
                text=True,
                env=environment(**variables),
                timeout=_RUN_SECONDS,
                check=True,
            ).stdout
        except subprocess.CalledProcessError as error:
            raise ServerFailed(f"{command[0]} ended with {error.returncode}: {end_of(error.stderr)}") from error
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{command[0]} did not end within {_RUN_SECONDS} s") from None

    def version(self, package: str) -> str:
        """Return the version of a package, without Debian's additions."""
        found = self.run("root", "dpkg-query", "-W", "-f", "${Version}", package)
        return re.split(r"[-+~]", found.rpartition(":")[2])[0]


def end_of(text: str) -> str:
    """Return the end of a program's output in one line."""
    return " ".join(text[-300:].split())


def environment(**values: str) -> dict[str, str]:
    """Return the environment of programs in a tree. No variable of the caller names other servers."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", **values}


def tree(suite: str) -> Tree:
    """Return the tree of a release; make it the first time. Raises NotAvailable."""
    if os.geteuid() != 0:
        raise NotAvailable("needs root: the servers run in trees of other Debian releases")
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / suite
    wanted = " ".join(_PACKAGES[suite])
    with _locked(CACHE / f"{suite}.lock"):
        made = path / _MADE
        if not made.exists() or made.read_text(encoding="utf-8") != wanted:
            _make(suite, path)
            made.write_text(wanted, encoding="utf-8")
        _remove_remains(path / "srv")
    return Tree(path)


def _remove_remains(servers: Path) -> None:
    """Remove the files of servers whose matrix was killed; a folder's name has its process id."""
    for folder in servers.glob("*-*-*"):
        if not Path(f"/proc/{folder.name.split('-')[1]}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _make(suite: str, path: Path) -> None:
    if not shutil.which("debootstrap"):
        raise NotAvailable("needs debootstrap: apt-get install debootstrap")
    shutil.rmtree(path, ignore_errors=True)
    print(f"making the tree of Debian {suite} in {path} (two minutes, 900 MB)", flush=True)
    log = CACHE / f"{suite}.log"
    log.unlink(missing_ok=True)
    # The third argument would be a mirror. An interrupted debootstrap leaves mounts, which the namespace ends.
    _step(
        log, *_PRIVATE, "debootstrap", "--variant=minbase", "--include=ca-certificates", suite, str(path), "", _SCRIPT
    )
    # packages start their services after an installation, unless this says no
    policy = path / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    install = ("apt-get", "install", "-y", "-q", "--no-install-recommends", *_PACKAGES[suite])
    _step(log, *_ENTER, str(path), *install)


def _step(log: Path, *command: str) -> None:
    with log.open("ab") as out:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
                timeout=_BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotAvailable(f"its tree was not made within {_BUILD_SECONDS} s; its log: {log}") from None
    if done.returncode:
        said = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        raise NotAvailable(f"its tree could not be made: {said[-1] if said else done.returncode}; its log: {log}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
