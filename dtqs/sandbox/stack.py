"""The whole system in one folder: private servers, API and supervisor as children, restarted after a crash.

Single-threaded. postgres.py and rabbitmq.py start the servers; dtqs.cli.up talks to the operator.
"""

import fcntl
import json
import logging
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from dtqs.client_env import read_client_env
from dtqs.deadline import Deadline
from dtqs.sandbox.child import Program, SandboxError, SandboxProcess, write_private
from dtqs.sandbox.places import (
    Ports,
    SandboxPaths,
    choose_ports,
    environment_without,
    write_ini,
)
from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.sandbox.processes import end_leftover, identity
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from dtqs.sandbox.wakeup import ReadySocket, Wakeup

_READY_SECONDS = 60.0
_RESTART_SECONDS, _RESTART_MOST_SECONDS, _YOUNG_SECONDS = 0.5, 10.0, 10.0
_MOST_DOUBLINGS = 16
"""Keeps the power within the range of a float. The longest delay is reached long before."""
_DRAIN_SECONDS = 60.0
logger = logging.getLogger(__name__)


class ServerState(Protocol):
    """Interface of the four parts of the stack."""

    child: SandboxProcess

    def start(self) -> None: ...

    def stop(self, seconds: float = 20.0) -> None: ...


@dataclass(slots=True)
class StackPart:
    """One of the four parts, with its restart time."""

    server: ServerState
    deaths: int = 0
    started_at: float = 0.0
    restart_at: float | None = None

    def start(self) -> None:
        """Start the part now."""
        self.started_at, self.restart_at = time.monotonic(), None
        self.server.start()

    def look_after(self, now: float) -> str:
        """Plan the restart of a dead part, or carry out a planned one. Return a message about it, or empty text."""
        child = self.server.child
        if self.restart_at is not None and now >= self.restart_at:
            self.start()
            return f"{child.name}: started again"
        if self.restart_at is None and not child.alive:
            self.deaths = self.deaths + 1 if now - self.started_at < _YOUNG_SECONDS else 1
            delay = min(_RESTART_SECONDS * 2 ** min(self.deaths - 1, _MOST_DOUBLINGS), _RESTART_MOST_SECONDS)
            self.restart_at = now + delay
            return (
                f"{child.name}: died with status {child.exit_status}, starts again in {delay:g} s; its log: {child.log}"
            )
        return ""


class Stack:
    """The four parts of one folder var. Use it from the main thread: its end ends the children."""

    def __init__(self, var: Path, api_port: int | None, workers: int | None, say: Callable[[str], None]) -> None:
        self._places, self._say = SandboxPaths(var), say
        self._wanted_port, self._workers = api_port, workers
        self._lock: IO[str] | None = None
        self._parts: dict[str, StackPart] = {}

    def start(self, await_go_ahead: Callable[[], None]) -> None:
        """Start the servers, after the go-ahead the rest, and wait until tasks can be submitted and run.

        Raises SandboxError, StoreUnavailable.
        """
        self._places.refuse_others()
        self._places.make()
        self._take_lock()
        self._end_leftovers()
        ports = choose_ports(self._places, self._wanted_port)
        postgres, rabbitmq = self._start_servers(ports)
        is_first, ours = not self._places.ini.exists(), self._settings(ports, postgres, rabbitmq)
        write_ini(self._places, ours, self._proposed())
        environment = environment_without(ours)
        await_go_ahead()
        postgres.wait_ready(Deadline(_READY_SECONDS))
        self._say(f"PostgreSQL is ready on port {ports.postgresql}")
        with ReadySocket() as workers_ready:
            # API and supervisor wait for RabbitMQ themselves. Loading takes them over a second, so the first time they
            # start before the schema exists. Later there may be tasks, which must not run during a migration.
            places = {"DTQS_CONFIG": str(self._places.ini), "NOTIFY_SOCKET": workers_ready.address}
            if is_first:
                self._start_product(environment | places)
            from dtqs.sandbox import product  # a slow import that needs the packages

            product.entitle()
            config = product.migrated(self._places, environment)
            if not is_first:
                self._start_product(environment | places)
            rabbitmq.wait_ready(Deadline(_READY_SECONDS))
            self._say(f"RabbitMQ is ready on port {ports.rabbitmq}")
            product.write_client_env(self._places, config)
            self._wait("api", lambda: is_ready(self._places))
            self._say(f"The API is ready on port {ports.api}")
            self._wait("supervisor", lambda: workers_ready.seen() and product.has_consumers(config.rabbitmq))
            self._say("The workers are ready")

    def watch(self) -> None:
        """Restart dead parts until a KeyboardInterrupt."""
        with Wakeup() as wakeup:
            while True:
                self._look_after_parts()
                times = [part.restart_at for part in self._parts.values() if part.restart_at is not None]
                wakeup.wait(max(0.0, min(times) - time.monotonic()) if times else 60.0)

    def _look_after_parts(self) -> None:
        now = time.monotonic()
        for part in self._parts.values():
            if message := part.look_after(now):
                self._say(message)

    def stop(self) -> None:
        """Stop API and supervisor, then the servers. After a KeyboardInterrupt the workers give back their tasks.

        Safe to call twice.
        """
        if not self._lock:
            return
        for names, seconds in ((("api", "supervisor"), _DRAIN_SECONDS), (("rabbitmq", "postgresql"), 20.0)):
            servers = [self._parts[name].server for name in names if name in self._parts]
            for server in servers:
                server.child.ask_to_stop()
            for server in servers:
                try:
                    server.child.wait(seconds)
                except KeyboardInterrupt:
                    server.child.send(signal.SIGINT)
                server.stop(20.0)
        self._places.pid_file("sandbox").unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def _take_lock(self) -> None:
        lock = self._places.lock.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise SandboxError(f"a sandbox already runs in {self._places.var}: stop it with `dtqs down`") from None
        self._lock = lock
        pid_file = self._places.pid_file("sandbox")
        write_private(pid_file, identity(os.getpid(), pid_file))

    def _end_leftovers(self) -> None:
        for name in ("supervisor", "api", "rabbitmq", "epmd", "postgresql"):
            if end_leftover(self._places.pid_file(name), Deadline(20)):
                logger.warning("ended leftovers of an earlier sandbox", extra={"part": name})

    def _start_servers(self, ports: Ports) -> tuple[PrivatePostgres, PrivateRabbitmq]:
        """Start RabbitMQ first: it takes longer, while PostgreSQL creates its cluster."""
        places = self._places
        rabbitmq = PrivateRabbitmq(
            places.servers / "rabbitmq",
            ports.rabbitmq,
            ports.distribution,
            ports.epmd,
            places.log("rabbitmq"),
            places.pid_file("rabbitmq").parent,
        )
        postgres = PrivatePostgres(
            places.servers / "postgresql", ports.postgresql, places.log("postgresql"), places.pid_file("postgresql")
        )
        self._parts = {"rabbitmq": StackPart(rabbitmq), "postgresql": StackPart(postgres)}
        self._say(f"Starting PostgreSQL and RabbitMQ, data in {places.servers}")
        if os.geteuid() == 0:
            # Another user often cannot read this checkout or the files to submit.
            self._say("API and workers run as root, like you. For files that you do not trust, use an ordinary user")
        for part in self._parts.values():
            part.start()
        return postgres, rabbitmq

    def _settings(
        self, ports: Ports, postgres: PrivatePostgres, rabbitmq: PrivateRabbitmq
    ) -> dict[str, dict[str, str]]:
        """Return the keys that the sandbox sets at every start."""
        settings = {
            "postgresql": {"dsn": postgres.dsn},
            "rabbitmq": {"url": rabbitmq.url},
            "api": {"host": "127.0.0.1", "port": str(ports.api)},
            "supervisor": {"state_dir": str(self._places.var / "state")},
            "files": {"directory": str(self._places.var / "files")},
        }
        return settings | ({"pool:default": {"workers": str(self._workers)}} if self._workers is not None else {})

    def _proposed(self) -> dict[str, dict[str, str]]:
        """Return the defaults of a new sandbox, for its owner to change. E-mail and SMS stay in the folder."""
        var = self._places.var
        email = {
            "backend": "folder",
            "folder": str(var / "mails"),
            "templates": str(var / "templates"),
            "sender": "DTQS <dtqs@localhost>",
        }
        return {
            "processor:echo": {"faults": "on"},
            "processor:email": email | {"allowed_senders": "*"},
            "processor:sms": {"provider": "sink", "sink_file": str(var / "sms.jsonl")},
        }

    def _start_product(self, environment: dict[str, str]) -> None:
        for name in ("api", "supervisor"):
            child = SandboxProcess(
                name,
                self._places.pid_file(name),
                self._places.log(name),
                death_signal="TERM" if name == "api" else "KILL",
            )
            self._parts[name] = StackPart(Program(child, [sys.executable, "-P", "-m", "dtqs", name], environment))
            self._parts[name].start()

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until a part of the product is ready. Raises SandboxError with the end of its log."""
        child, deadline = self._parts[name].server.child, Deadline(_READY_SECONDS)
        while not ready():
            if child.wait(0.05) or deadline.passed:
                late = f"is not ready after {_READY_SECONDS:g} s"
                fault = late if child.alive else f"ended with status {child.exit_status}"
                raise SandboxError(f"the {name} {fault}; the end of its log, {child.log}:\n{_tail(child.log)}")


def is_ready(places: SandboxPaths) -> bool:
    """Return whether the API answers and is connected to RabbitMQ, so that tasks start without the relay.

    The API of another installation may have the port. It does not know this sandbox's key.
    """
    client = read_client_env(places.client_env)
    url, key = client.get("DTQS_URL", ""), client.get("DTQS_API_KEY", "")
    with suppress(urllib.error.URLError, OSError, ValueError, KeyError, TypeError):
        is_connected = _get(f"{url}/readyz", {})["rabbitmq"]["state"] == "connected"
        return is_connected and bool(_get(f"{url}/tasks?limit=1", {"Authorization": f"Bearer {key}"}))
    return False


def _get(url: str, headers: dict[str, str]) -> Any:
    # without the environment's proxy, which cannot reach this machine and must not get the key
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=5) as response:
        return json.load(response)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-8:])
