"""A private PostgreSQL in one folder, with its own data, password and port; on loopback, every commit on disk."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dtqs.deadline import Deadline
from dtqs.sandbox.child import Account, SandboxError, SandboxProcess, make_folder, write_private
from dtqs.sandbox.processes import end_all, is_zombie, working_in

ROLE = DATABASE = "dtqs"
_ADMIN = "postgres"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a deep folder makes the path too long for a socket
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


class PrivatePostgres:
    """A private PostgreSQL. `start` returns at once, `wait_ready` waits. Data, password and role survive restarts."""

    def __init__(
        self,
        directory: Path,
        port: int,
        log: Path | None = None,
        pid_file: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory, self.port = directory, port
        self._settings = {**_SETTINGS, "port": str(port), **(settings or {})}
        self._account = Account.choose("postgres")
        self._data = directory / "data"
        # Fast shutdown even if the sandbox is killed: the next start needs no recovery.
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
        """DSN of the role of DTQS, an ordinary role that may create databases."""
        return f"postgresql://{ROLE}:{self._secret(ROLE)}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def admin_dsn(self) -> str:
        """DSN of the superuser."""
        return f"postgresql://{_ADMIN}:{self._secret(_ADMIN)}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self.child.alive

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self.child.pid

    def start(self) -> None:
        """Create the cluster at the first start, and start the server."""
        if self.alive:
            return
        if not self._data.exists():
            self._initialise()
        self._clear_remains()
        options = [word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")]
        self.child.start([binary("postgres"), "-D", str(self._data), *options], _environment(), self.directory)

    def wait_ready(self, deadline: Deadline) -> None:
        """Wait until the server accepts connections. Raises SandboxError if it ends or at the deadline."""
        probe = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "2"]
        while subprocess.run(probe, env=_environment(), timeout=10, check=False).returncode != 0:
            if self.child.wait(0.05):
                raise SandboxError(f"PostgreSQL ended with status {self.child.exit_status}; its log: {self.child.log}")
            if deadline.passed:
                raise SandboxError(f"PostgreSQL did not get ready in time; its log: {self.child.log}")

    def stop(self, seconds: float = 20.0) -> None:
        """Stop the server; kill it after `seconds`."""
        self.child.stop(seconds)

    def kill(self) -> None:
        """Kill the server and all its processes with SIGKILL."""
        self.child.kill()

    def freeze(self) -> None:
        """Halt the server."""
        self.child.freeze()

    def thaw(self) -> None:
        """Continue the server."""
        self.child.thaw()

    def _clear_remains(self) -> None:
        """End remains of a killed server, found by their working folder; remove a lock file that names a zombie."""
        # Only process 1 reaps the zombie of a grandchild, and in some containers it never does.
        end_all(working_in(self._data), Deadline(10))
        lock = self._data / "postmaster.pid"
        if lock.exists() and is_zombie(int(lock.read_text(encoding="utf-8").split()[0])):
            lock.unlink()

    def _initialise(self) -> None:
        """Create cluster, role and database in a temporary folder, and rename the complete folder."""
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
        # In single-user mode a newline ends the statement.
        statements = (
            f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{self._secret(ROLE)}'",
            f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
        )
        text = "".join(f"{statement}\n" for statement in statements)
        self._run("postgres", "--single", "-D", str(data), "postgres", text=text)
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
        """Return the password of a role; create it the first time."""
        path = self.directory / f"{role}.password"
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            write_private(path, secrets.token_hex(24))
        return path.read_text(encoding="utf-8")


def binary(name: str) -> str:
    """Return the path of a program of the newest installed PostgreSQL. Raises SandboxError."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]), reverse=True
    )
    found = str(versions[0]) if versions else shutil.which(name)
    if not found:
        raise SandboxError(
            f"PostgreSQL's program {name} is missing: install PostgreSQL 14 or later "
            "(Debian and Ubuntu: apt-get install postgresql)"
        )
    return found


def _environment() -> dict[str, str]:
    """Return an environment without PG* variables, which would name other servers."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
