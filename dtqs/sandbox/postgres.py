"""A private PostgreSQL below one folder: own data, password and port, loopback only, every commit on disk."""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from dtqs.deadline import Deadline
from dtqs.sandbox.child import Account, SandboxError, SandboxProcess, make_folder, write_private
from dtqs.sandbox.processes import end_all, is_zombie, working_in

ROLE = DATABASE = "dtqs"
_ADMIN = "postgres"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a path below a deep checkout would be too long for a socket
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


class PrivatePostgres:
    """One PostgreSQL of our own. `start` returns at once, `wait_ready` waits; data, password and role outlive everything."""

    def __init__(self, directory: Path, port: int, log: Path | None = None, pid_file: Path | None = None) -> None:
        self.directory, self.port = directory, port
        self._account = Account.choose("postgres")
        self._data = directory / "data"
        # fast shutdown, also when we are killed: no recovery at the next start
        self.child = SandboxProcess(
            "postgresql",
            pid_file or directory / "pid",
            log or directory / "postgresql.log",
            self._account,
            signal.SIGINT,
            "INT",
        )

    @property
    def dsn(self) -> str:
        """Of the product's own role, an ordinary one that may make databases."""
        return f"postgresql://{ROLE}:{self._secret(ROLE)}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def admin_dsn(self) -> str:
        return f"postgresql://{_ADMIN}:{self._secret(_ADMIN)}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def alive(self) -> bool:
        return self.child.alive

    @property
    def pid(self) -> int:
        return self.child.pid

    def start(self) -> None:
        """Make the cluster if there is none, and start the server."""
        if self.alive:
            return
        if not self._data.exists():
            self._initialise()
        self._clear_remains()
        options = [
            word for key, value in {**_SETTINGS, "port": str(self.port)}.items() for word in ("-c", f"{key}={value}")
        ]
        self.child.start([binary("postgres"), "-D", str(self._data), *options], _environment(), self.directory)

    def wait_ready(self, deadline: Deadline) -> None:
        """Wait until it takes connections. Raises SandboxError when it ends first or the time is over."""
        probe = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "2"]
        while subprocess.run(probe, env=_environment(), timeout=10, check=False).returncode != 0:
            if self.child.wait(0.05):
                raise SandboxError(f"PostgreSQL ended with status {self.child.exit_status}; its log: {self.child.log}")
            if deadline.passed:
                raise SandboxError(f"PostgreSQL is not ready in time; its log: {self.child.log}")

    def stop(self, seconds: float = 20.0) -> None:
        self.child.stop(seconds)

    def kill(self) -> None:
        """SIGKILL to the server and all its processes."""
        self.child.kill()

    def freeze(self) -> None:
        self.child.freeze()

    def thaw(self) -> None:
        self.child.thaw()

    def _clear_remains(self) -> None:
        """End what a killed server has left, all of which works in the data folder, and its lock file, if only a zombie keeps that valid."""
        # a grandchild's zombie goes when the machine's first process gets round to it, and in some containers never
        end_all(working_in(self._data), Deadline(10))
        lock = self._data / "postmaster.pid"
        if lock.exists() and is_zombie(int(lock.read_text(encoding="utf-8").split()[0])):
            lock.unlink()

    def _initialise(self) -> None:
        """Make the cluster, our role and database beside their place, and move them there when they are whole."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        making = self.directory / "making"
        shutil.rmtree(making, ignore_errors=True)
        make_folder(making, self._account)
        password = making / "password"
        write_private(password, self._secret(_ADMIN), self._account)
        data = making / "data"
        self._run(
            "initdb",
            "-D",
            str(data),
            "-U",
            _ADMIN,
            "--auth",
            "scram-sha-256",
            "--pwfile",
            str(password),
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )
        # one statement a line: single-user mode ends them at the newline
        self._run(
            "postgres", "--single", "-D", str(data), "postgres",
            text=f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{self._secret(ROLE)}'\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n",
        )  # fmt: skip
        data.rename(self._data)
        shutil.rmtree(making)

    def _run(self, name: str, *arguments: str, text: str = "") -> None:
        prefix = ["setpriv", *self._account.prefix(), "--"] if self._account else []
        done = subprocess.run(
            [*prefix, binary(name), *arguments],
            input=text,
            capture_output=True,
            text=True,
            env=_environment(),
            cwd=self.directory,
            timeout=120,
            check=False,
        )
        if done.returncode != 0 or "ERROR:" in done.stderr:
            raise SandboxError(
                f"{name} failed with status {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
            )

    def _secret(self, role: str) -> str:
        """Read the role's password, or make it."""
        path = self.directory / f"{role}.password"
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            write_private(path, secrets.token_hex(24))
        return path.read_text(encoding="utf-8")


def binary(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, of the newest version there is. Raises SandboxError."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]), reverse=True
    )
    found = str(versions[0]) if versions else shutil.which(name)
    if not found:
        raise SandboxError(
            f"PostgreSQL's program {name} is missing: install PostgreSQL 14 or later (Debian and Ubuntu: apt-get install postgresql)"
        )
    return found


def _environment() -> dict[str, str]:
    """Nothing of the caller's PG* variables: they would lead elsewhere."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
