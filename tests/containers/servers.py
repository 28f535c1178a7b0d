"""PostgreSQL and RabbitMQ of this machine in the place of their official images, with what compose.yaml gives them.

Each does what the image's entry point does with these variables. The ports are the servers' own, so they need a network
of their own: see bin/test-image.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from dtqs.sandbox.child import Account, SandboxProcess, make_folder
from dtqs.sandbox.postgres import binary
from dtqs.sandbox.rabbitmq import PrivateRabbitmq


class Server(Protocol):
    """A server, as the player of compose.yaml uses it."""

    def start(self) -> None: ...

    def run(self, *command: str, seconds: float) -> "subprocess.CompletedProcess[str]": ...

    def stop(self, seconds: float) -> None: ...


class PostgresqlService:
    """PostgreSQL with the variables POSTGRES_USER, POSTGRES_DB and POSTGRES_PASSWORD_FILE."""

    def __init__(self, folder: Path, given: Mapping[str, str]) -> None:
        self._folder, self._given = folder, dict(given)
        self._account = Account.choose("postgres")
        self._path = f"{Path(binary('postgres')).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        # the image's STOPSIGNAL
        self._server = SandboxProcess("postgresql", folder / "pid", folder / "log", self._account, signal.SIGINT)

    def start(self) -> None:
        data = self._folder / "data"
        if not data.exists():
            make_folder(self._folder, self._account, 0o755)
            role, database = self._given.pop("POSTGRES_USER"), self._given.pop("POSTGRES_DB")
            password = self._given.pop("POSTGRES_PASSWORD_FILE")
            assert not self._given
            arguments = ("-U", role, "--pwfile", password, "--auth", "scram-sha-256", "-E", "UTF8", "--no-sync")
            self._check("initdb", "-D", str(data), *arguments)
            self._check("postgres", "--single", "-D", str(data), "postgres", text=f"CREATE DATABASE {database}\n")
        settings = ("-c", "listen_addresses=*", "-c", "unix_socket_directories=", "-p", "5432")
        self._server.start([binary("postgres"), "-D", str(data), *settings], {"PATH": self._path}, self._folder)

    def run(self, *command: str, seconds: float) -> "subprocess.CompletedProcess[str]":
        return self._as_server(*command, seconds=seconds)

    def stop(self, seconds: float) -> None:
        self._server.stop(seconds)

    def _check(self, *command: str, text: str = "") -> None:
        done = self._as_server(*command, seconds=60, text=text)
        assert done.returncode == 0, done.stderr
        assert "ERROR:" not in done.stderr, done.stderr

    def _as_server(self, *command: str, seconds: float, text: str = "") -> "subprocess.CompletedProcess[str]":
        prefix = ["setpriv", *self._account.prefix(), "--"] if self._account else []
        return subprocess.run(
            [*prefix, *command],
            input=text,
            capture_output=True,
            text=True,
            env={"PATH": self._path, "LC_ALL": "C.UTF-8"},
            cwd=self._folder,
            timeout=seconds,
            check=False,
        )


class RabbitmqService(PrivateRabbitmq):
    """RabbitMQ with the variable RABBITMQ_CONFIG_FILE."""

    def __init__(self, folder: Path, given: Mapping[str, str]) -> None:
        assert set(given) == {"RABBITMQ_CONFIG_FILE"}
        self._given = given
        super().__init__(folder, 5672, 25672, 4369)

    def environment(self) -> dict[str, str]:
        path = f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}"
        return super().environment() | dict(self._given) | {"PATH": path}

    def run(self, *command: str, seconds: float) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.as_server(*command),
            env=self.environment(),
            capture_output=True,
            text=True,
            cwd=self.directory,
            timeout=seconds,
            check=False,
        )


SERVERS: dict[str, Callable[[Path, Mapping[str, str]], Server]] = {
    "postgres": PostgresqlService,
    "rabbitmq": RabbitmqService,
}
"""By the name of the image."""
