"""The product as users run it: `dtqs api` and `dtqs supervisor` as processes with their own configuration file.

It also runs the apps that the API is compared with.
"""

import functools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika
import psycopg
from http_load import BadReply, Client, get, post, tiny
from rig import Rig, wait_until

from dtqs.broker.topology import QUEUE, queue_arguments
from dtqs.config import Config, load
from dtqs.resources import resource
from dtqs.sandbox.child import Program, SandboxProcess
from dtqs.sandbox.places import environment_without
from dtqs.sandbox.ports import free_ports
from dtqs.store import Store
from dtqs.store.driver.schema import migrate

_READY_SECONDS = 60.0
_SETTLED_SECONDS = 120.0
_DRAINED_SECONDS = 600.0
_API_PROCESSES = 2
_CONNECTED = "connection=dtqs api publishes state=connected"
_SUBMITS_AND_READS = ("submit", "read")


@dataclass(frozen=True, slots=True)
class HttpServer:
    """The port of a server, and the id of its first process."""

    port: int
    pid: int


class Product:
    """API and supervisor on one database. Measurements are read through a connection of the server's administrator."""

    def __init__(
        self,
        rig: Rig,
        dsn: str,
        admin: "psycopg.Connection[tuple[Any, ...]]",
        code: Path | None = None,
        api: Mapping[str, str] | None = None,
    ) -> None:
        """`code`: a folder with an installation of its own, instead of the one that runs the benchmark.

        `api`: keys of the section `[api]`.
        """
        self._api_keys = {"workers": str(_API_PROCESSES), **(api or {})}
        self._dsn, self._amqp_url, self._admin, self._code = dsn, rig.rabbitmq.url, admin, code
        self._folder = rig.folder / dsn.rpartition("/")[2]
        self._folder.mkdir()
        self._connect = functools.partial(rig.admin, dsn)
        self.port = free_ports(1)[0]
        self._ini = self._folder / "dtqs.ini"
        self.config = self.configure_pool({"workers": "1"})
        self.key = ""
        self._api, self._supervisor = self._program("api", "TERM"), self._program("supervisor", "KILL")

    def start_api(self) -> None:
        """Apply the schema, empty the queue, create a key, and wait until the API answers."""
        migrate(self.config.postgresql)
        self._empty_queue()
        self.key = _new_key(self.config)
        self._api.start()
        wait_until("the API answers", lambda: _answers(self.port, get("/readyz"), b"200"), _READY_SECONDS)
        # a process that cannot publish yet leaves its first hints to the keeper, which does not run here;
        # any process may answer a request, so only the log tells that all are connected
        wait_until(
            "the API can publish",
            lambda: self._api.child.log.read_text().count(_CONNECTED) >= int(self._api_keys["workers"]),
            _READY_SECONDS,
        )

    @contextmanager
    def keeper(self) -> Iterator[None]:
        """Run a keeper without workers. It publishes hints that an API process had no room for."""
        program = self._program("keeper", "TERM")
        program.start()
        try:
            yield
        finally:
            program.stop(60)

    def start_workers(self, count: int) -> None:
        self.configure_pool({"workers": str(count)})
        self._supervisor.start()

    def wait_workers(self, count: int) -> None:
        """Wait until this many workers are ready."""
        query = "SELECT count(*) FROM workers WHERE pool = 'default' AND state = 'ready'"
        wait_until("the workers are ready", lambda: bool(self.value(query) >= count), _READY_SECONDS, 0.01)

    @property
    def server(self) -> HttpServer:
        return HttpServer(self.port, self._api.child.pid)

    @property
    def supervisor_pid(self) -> int:
        return self._supervisor.child.pid

    def stop_workers(self) -> None:
        self._supervisor.stop(60)

    def stop(self) -> None:
        self.stop_workers()
        self._api.stop()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._admin.execute(query.encode()).fetchall()

    def value(self, query: str) -> Any:
        return self.rows(query)[0][0]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Hold a snapshot open, as a forgotten session or a long report does.

        The product's own role cannot do this: the server ends its idle transactions.
        """
        with self._connect() as holder:
            holder.autocommit = False
            holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            holder.execute("SELECT count(*) FROM tasks")
            yield

    def wait_settled(self) -> None:
        """Wait until a burst of submits is done: every hint confirmed, with its next publish set in the backlog."""
        query = "SELECT NOT EXISTS (SELECT 1 FROM backlog WHERE publish_at < now() + interval '1 min')"
        wait_until("all hints are confirmed", lambda: bool(self.value(query)), _SETTLED_SECONDS, 0.2)

    def wait_drained(self) -> None:
        """Wait until every due task is finished.

        It waits for the empty queue first, because queries on the backlog would slow down the measured work.
        """
        with self.broker() as broker:
            channel = broker.channel()
            wait_until("the queue is empty", lambda: queue_depth(channel) == 0, _DRAINED_SECONDS, 0.1)
        query = "SELECT EXISTS (SELECT 1 FROM backlog WHERE due_at <= now()) OR EXISTS (SELECT 1 FROM leases)"
        wait_until("all tasks are finished", lambda: not self.value(query), _SETTLED_SECONDS, 0.1)

    def broker(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(pika.URLParameters(self._amqp_url))

    def answer(self) -> str:
        """Return the API's answer to a single submit."""
        with Client(self.port) as client:
            return client.send(post("/submit", tiny(), self.key)).decode()

    @contextmanager
    def beside(self, name: str, answer: str, dsn: str = "") -> Iterator[HttpServer]:
        """Run an app of bare_app.py behind a server with the API's own settings."""
        port, here = free_ports(1)[0], Path(__file__).parent
        environment = {**self.environment(), "DTQS_API_PORT": str(port), "BENCH_ANSWER": answer, "BENCH_DSN": dsn}
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "--config",
            str(resource("conf/gunicorn.conf.py")),
            "--worker-class",
            "gevent",  # without the API's own way for plain requests
            "--chdir",
            str(here),
            f"bare_app:{name}",
        ]
        program = Program(self._child(name, "TERM"), command, environment)
        try:
            program.start()
            wait_until(
                f"{name} answers", lambda: _answers(port, post("/submit", tiny(), "none"), b"202"), _READY_SECONDS
            )
            yield HttpServer(port, program.child.pid)
        finally:
            program.stop()

    def configure_pool(self, pool: dict[str, str]) -> Config:
        """Write the configuration file, with these keys of the pool `default`."""
        sections = {**self._settings(), "pool:default": pool}
        lines = [
            f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
            for section, values in sections.items()
        ]
        self._ini.write_text("\n".join(lines), encoding="utf-8")
        return load(self._ini, {})

    def _settings(self) -> dict[str, dict[str, str]]:
        return {
            "postgresql": {"dsn": self._dsn},
            "rabbitmq": {"url": self._amqp_url},
            "api": {"host": "127.0.0.1", "port": str(self.port), **self._api_keys},
            "supervisor": {"state_dir": str(self._folder / "state")},
            "files": {"directory": str(self._folder / "files")},
            "processor:email": {"sender": "bench@example.org"},
        }

    def environment(self) -> dict[str, str]:
        """Return the environment of the product's commands."""
        code = {"PYTHONPATH": str(self._code)} if self._code else {}
        return {**environment_without(self._settings()), "DTQS_CONFIG": str(self._ini), **code}

    def command(self, *words: str) -> list[str]:
        """Return a command of the product."""
        return [sys.executable, *(["-P"] if self._code else []), "-m", "dtqs", *words]

    def _program(self, name: str, death_signal: str) -> Program:
        return Program(self._child(name, death_signal), self.command(name), self.environment())

    def _child(self, name: str, death_signal: str) -> SandboxProcess:
        return SandboxProcess(
            name, self._folder / f"{name}.pid", self._folder / f"{name}.log", death_signal=death_signal
        )

    def _empty_queue(self) -> None:
        """Declare the queue, because no worker has done so yet and the first hints need it."""
        with self.broker() as broker:
            channel = broker.channel()
            channel.queue_delete(QUEUE)
            channel.queue_declare(QUEUE, durable=True, arguments=queue_arguments(self.config.rabbitmq, None))


@contextmanager
def running(rig: Rig, code: Path | None = None, api: Mapping[str, str] | None = None) -> Iterator[Product]:
    """Run the API on a fresh database and an empty queue. The caller starts the workers."""
    with rig.database() as dsn, rig.admin(dsn) as admin:
        product = Product(rig, dsn, admin, code, api)
        try:
            product.start_api()
            yield product
        finally:
            product.stop()


def queue_depth(channel: Any) -> int:
    depth: int = channel.queue_declare(QUEUE, passive=True).method.message_count
    return depth


def _new_key(config: Config) -> str:
    store = Store(config.postgresql, config.lease, size=1, name="bench")
    store.start()
    try:
        return store.api_keys.create("bench", _SUBMITS_AND_READS)[1]
    finally:
        store.stop()


def _answers(port: int, request: bytes, status: bytes) -> bool:
    with suppress(OSError, BadReply), Client(port) as client:
        client.send(request, status)
        return True
    return False
