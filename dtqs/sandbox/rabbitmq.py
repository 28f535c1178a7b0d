"""A private RabbitMQ in one folder, with its own data, node, cookie, user, epmd and ports; on loopback."""

import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

from dtqs.deadline import Deadline
from dtqs.sandbox.broker_parts import link_needed
from dtqs.sandbox.child import Account, SandboxError, SandboxProcess, make_folder, write_private

NODE = "dtqs@localhost"
_USER = "dtqs"
_HOMES = (Path("/usr/lib/rabbitmq/bin"), Path("/opt/homebrew/sbin"), Path("/usr/local/sbin"))
_HANDSHAKE = b"AMQP\x00\x00\x09\x01"
# With one scheduler RabbitMQ starts 2 s sooner on few cores and uses less CPU.
_ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +SDcpu 1:1 +SDio 1 +A 1"


class PrivateRabbitmq:
    """A private RabbitMQ with epmd. `start` returns at once, `wait_ready` waits. Durable queues survive restarts."""

    def __init__(
        self,
        directory: Path,
        port: int,
        distribution_port: int,
        epmd_port: int,
        log: Path | None = None,
        pid_folder: Path | None = None,
        node: str = NODE,
    ) -> None:
        self.directory, self.port, self.node = directory, port, node
        self._distribution_port, self._epmd_port = distribution_port, epmd_port
        self._account = Account.choose("rabbitmq", "postgres")
        log = log or directory / "rabbitmq.log"
        pids = pid_folder or directory
        self.child = SandboxProcess("rabbitmq", pids / "rabbitmq.pid", log, self._account, death_signal="TERM")
        self._epmd = SandboxProcess("epmd", pids / "epmd.pid", log, self._account)

    @property
    def url(self) -> str:
        """AMQP URL with user and password."""
        return f"amqp://{_USER}:{self._password()}@127.0.0.1:{self.port}/%2F"

    @property
    def alive(self) -> bool:
        """Whether the broker runs."""
        return self.child.alive

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        return self.child.pid

    def start(self) -> None:
        """Start epmd and the broker."""
        self._prepare()
        # A child of the sandbox: an epmd that the broker starts itself would outlive it.
        self._epmd.start(
            [_program("epmd"), "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            self.environment(),
            self.directory,
        )
        self.child.start([_program("rabbitmq-server")], self.environment(), self.directory)

    def wait_ready(self, deadline: Deadline) -> None:
        """Wait until the broker answers AMQP. Raises SandboxError if it ends or at the deadline."""
        while not self._answers():
            if self.child.wait(0.05):
                raise SandboxError(f"RabbitMQ ended with status {self.child.exit_status}; its log: {self.child.log}")
            if deadline.passed:
                raise SandboxError(f"RabbitMQ did not get ready in time; its log: {self.child.log}")

    def stop(self, seconds: float = 20.0) -> None:
        """Stop broker and epmd; kill the broker after `seconds`."""
        self.child.stop(seconds)
        self._epmd.stop(5)

    def kill(self) -> None:
        """Kill the broker and all its processes with SIGKILL."""
        self.child.kill()

    def freeze(self) -> None:
        """Halt the broker."""
        self.child.freeze()

    def thaw(self) -> None:
        """Continue the broker."""
        self.child.thaw()

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl (one or two seconds of CPU) and return its output. Raises SandboxError."""
        command = self.as_server(_program("rabbitmqctl"), "-q", "-n", self.node, *arguments)
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment(), cwd=self.directory, timeout=60, check=False
        )
        if done.returncode != 0:
            raise SandboxError(f"rabbitmqctl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def as_server(self, *command: str) -> list[str]:
        """Return the command for the server's user, who alone may read the cookie."""
        return ["setpriv", *self._account.prefix(), "--", *command] if self._account else list(command)

    def environment(self) -> dict[str, str]:
        """Return the environment of the node and its tools. Nothing comes from /etc/rabbitmq."""
        place = self.directory
        plugins = {"RABBITMQ_PLUGINS_DIR": str(place / "plugins")} if (place / "plugins").is_dir() else {}
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "HOME": str(place / "home"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(place / "data"),
            "RABBITMQ_LOG_BASE": str(place / "home"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(place / "advanced"),
            "RABBITMQ_LOG": "-color",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            # The start script then replaces itself with the broker instead of watching it.
            "RUNNING_UNDER_SYSTEMD": "true",
            **plugins,
        }

    def _prepare(self) -> None:
        """Create folders and configuration, and the first time cookie and password."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        for name in ("home", "data"):
            make_folder(self.directory / name, self._account)
        cookie = self.directory / "home" / ".erlang.cookie"
        if not cookie.exists():
            write_private(cookie, secrets.token_hex(24), self._account, 0o400)
        link_needed(Path(_program("rabbitmq-server")), self.directory / "plugins")
        write_private(self.directory / "enabled_plugins", "[].\n", self._account)
        settings = {
            "default_user": _USER,
            "default_pass": self._password(),
            "log.console": "true",
            "log.console.level": "info",
            "log.file": "false",
        }
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        write_private(self.directory / "rabbitmq.conf", text, self._account)

    def _password(self) -> str:
        path = self.directory / "password"
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            write_private(path, secrets.token_hex(24))
        return path.read_text(encoding="utf-8")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(_HANDSHAKE)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False


def _program(name: str) -> str:
    """Return the path of a program of RabbitMQ or Erlang; Debian's wrappers in /usr/sbin would need root."""
    for home in _HOMES:
        if os.access(home / name, os.X_OK):
            return str(home / name)
    found = shutil.which(name)
    if not found:
        raise SandboxError(
            f"{name} is missing: install RabbitMQ 3.10 or later (Debian and Ubuntu: apt-get install rabbitmq-server)"
        )
    return found
