"""The servers of the cells: PostgreSQL, PgBouncer and RabbitMQ out of trees, on free ports of loopback."""

import os
import secrets
import shutil
import time
from collections.abc import Mapping

import httpx
import psycopg

from dtqs.sandbox.child import SandboxProcess, make_folder
from dtqs.sandbox.ports import free_ports
from tests.matrix.trees import ServerFailed, Tree, end_of, environment

ROLE = "dtqs"
_READY_SECONDS, _REMOVE_SECONDS = 90.0, 5.0
_POSTGRES = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "300",
}


class TreeServer:
    """One server. Its files lie in a folder of its tree, which goes at `stop`, also after an incomplete `start`.

    Threads start servers side by side, but each server belongs to one.
    """

    title: str

    def __init__(self, tree: Tree, user: str, name: str, package: str = "") -> None:
        self.password, self.version = secrets.token_hex(12), tree.version(package or name)
        self._tree, self._user = tree, user
        self._place = f"/srv/{name}-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = tree.path / self._place[1:]
        make_folder(self._folder, None, 0o755)
        self._child = SandboxProcess(name, self._folder / "pid", self._folder / "log")
        self._is_made = False

    @property
    def alive(self) -> bool:
        return self._child.alive

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers. Raises ServerFailed."""
        if not self.alive:
            if not self._is_made:
                self._make()
                self._is_made = True
            self._run()
        self._wait_ready()

    def kill(self) -> None:
        """Kill the server and its children. `start` starts it again, with its data."""
        self._child.kill()

    def freeze(self) -> None:
        """Halt the server and its children."""
        self._child.freeze()

    def thaw(self) -> None:
        """Continue them."""
        if self.alive:
            self._child.thaw()

    def _make(self) -> None:
        """Write the server's files, before its first start."""
        raise NotImplementedError

    def _run(self) -> None:
        """Start the server's processes."""
        raise NotImplementedError

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def stop(self) -> None:
        """Kill the server and its children, and remove its files."""
        self.kill()
        deadline = time.monotonic() + _REMOVE_SECONDS
        while self._folder.exists() and time.monotonic() < deadline:  # an interrupted initdb still writes
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, *command: str, **variables: str) -> None:
        self._child.start(self._tree.command(self._user, *command), environment(**variables))

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            if self._child.wait(0.1) or time.monotonic() > deadline:
                log = self._child.log.read_text(encoding="utf-8", errors="replace")
                raise ServerFailed(f"{self._child.name} did not start: {end_of(log)}")

    def _own_folder(self, name: str) -> str:
        """Make a folder of the server's user, and return its path inside the tree."""
        self._tree.run(
            "root", "install", "-d", "-m", "700", "-o", self._user, "-g", self._user, f"{self._place}/{name}"
        )
        return f"{self._place}/{name}"

    def _write(self, name: str, text: str, mode: int = 0o644) -> str:
        """Write a file, and return its path inside the tree."""
        path = self._folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return f"{self._place}/{name}"


class MatrixPostgres(TreeServer):
    """A PostgreSQL with an ordinary role that may create databases."""

    title = "PostgreSQL"

    def __init__(self, tree: Tree, version: str) -> None:
        super().__init__(tree, "postgres", "postgresql", f"postgresql-{version}")
        (self.port,) = free_ports(1)
        self._programs = f"/usr/lib/postgresql/{version}/bin"
        self._data = f"{self._place}/data"

    def _make(self) -> None:
        tree, programs, data = self._tree, self._programs, self._own_folder("data")
        password = self._write("password", secrets.token_hex(12))
        locale = ("-E", "UTF8", "--locale=C.UTF-8")
        tree.run("postgres", f"{programs}/initdb", "-D", data, *locale, "-A", "scram-sha-256", "--pwfile", password)
        statements = (
            f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{self.password}'\nCREATE DATABASE {ROLE} OWNER {ROLE}\n"
        )
        tree.run("postgres", f"{programs}/postgres", "--single", "-D", data, "postgres", text=statements)

    def _run(self) -> None:
        options = [word for key, value in _POSTGRES.items() for word in ("-c", f"{key}={value}")]
        self._start(f"{self._programs}/postgres", "-D", self._data, "-p", str(self.port), *options)

    def _is_ready(self) -> bool:
        return _answers(self.dsn)

    @property
    def dsn(self) -> str:
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{self.port}/{ROLE}"


class MatrixPgbouncer(TreeServer):
    """A PgBouncer in transaction mode before a PostgreSQL, for all its databases."""

    title = "PgBouncer"

    def __init__(self, tree: Tree, server: MatrixPostgres, has_prepared: bool) -> None:
        super().__init__(tree, "postgres", "pgbouncer")
        (port,) = free_ports(1)
        self.place = f"127.0.0.1:{port}"
        self._server, self._has_prepared = server, has_prepared

    def _make(self) -> None:
        server = self._server
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.place.rpartition(":")[2],
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self._write("users", f'"{ROLE}" "{server.password}"\n'),
            "stats_users": ROLE,
            "pool_mode": "transaction",
            "max_client_conn": 2000,
            "default_pool_size": 20,
            "server_idle_timeout": 5,
            "server_login_retry": 1,
            **({"max_prepared_statements": 200} if self._has_prepared else {}),
        }
        lines = ["[databases]", f"* = host=127.0.0.1 port={server.port}", "[pgbouncer]"]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        self._write("pgbouncer.ini", "\n".join(lines) + "\n")

    def _run(self) -> None:
        self._start("/usr/sbin/pgbouncer", f"{self._place}/pgbouncer.ini")

    def _is_ready(self) -> bool:
        return _answers(self._server.dsn.replace(f"127.0.0.1:{self._server.port}", self.place))


class MatrixRabbitmq(TreeServer):
    """A RabbitMQ with its management plugin. From 4.0 on it refuses the features that RabbitMQ will remove."""

    title = "RabbitMQ"

    def __init__(self, tree: Tree, version: str) -> None:
        super().__init__(tree, "rabbitmq", "rabbitmq", "rabbitmq-server")
        port, api, distribution, mapper = free_ports(4)
        self._epmd = SandboxProcess("epmd", self._folder / "epmd.pid", self._folder / "epmd.log")
        self._api, self._is_new = api, float(version) >= 4
        self._variables = self._named(port, distribution, mapper)
        self.url = f"amqp://{ROLE}:{self.password}@127.0.0.1:{port}/%2F"
        self.api = f"http://{ROLE}:{self.password}@127.0.0.1:{api}"

    def _make(self) -> None:
        for name in ("home", "data"):
            self._own_folder(name)
        settings = {
            "default_user": ROLE,
            "default_pass": self.password,
            "management.tcp.port": str(self._api),
            "management.tcp.ip": "127.0.0.1",
            "log.console": "true",
            "log.file": "false",
        }
        if self._is_new:
            settings |= {
                "deprecated_features.permit.transient_nonexcl_queues": "false",
                "deprecated_features.permit.global_qos": "false",
            }
        self._write("rabbitmq.conf", "".join(f"{key} = {value}\n" for key, value in settings.items()))
        self._write("enabled_plugins", "[rabbitmq_management].\n")

    def _run(self) -> None:
        epmd = ("epmd", "-port", self._variables["ERL_EPMD_PORT"], "-address", "127.0.0.1")
        self._epmd.start(self._tree.command("rabbitmq", *epmd), environment(**self._variables))
        self._start("/usr/lib/rabbitmq/bin/rabbitmq-server", **self._variables)

    def stop(self) -> None:
        self._epmd.kill()
        super().stop()

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl and return its output. Raises ServerFailed."""
        command = ("/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "-n", self._variables["RABBITMQ_NODENAME"], *arguments)
        return self._tree.run("rabbitmq", *command, **self._variables)

    def _named(self, port: int, distribution: int, mapper: int) -> Mapping[str, str]:
        home = f"{self._place}/home"
        return {
            "HOME": home,
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"{ROLE}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": f"{self._place}/data",
            "RABBITMQ_LOG_BASE": home,
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self._place}/enabled_plugins",
            "RABBITMQ_CONFIG_FILE": f"{self._place}/rabbitmq",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{self._place}/advanced",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +SDcpu 1:1",
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _is_ready(self) -> bool:
        place = httpx.URL(self.api)
        try:
            found = httpx.get(place.copy_with(userinfo=b"", path="/api/vhosts"), auth=(ROLE, self.password), timeout=2)
        except httpx.TransportError:
            return False
        return found.status_code == 200


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
