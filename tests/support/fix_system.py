"""Fixture `system`: whole running systems, with real processes, a fresh database and a fresh virtual host."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from dtqs.config import load
from dtqs.sandbox.places import SandboxPaths, environment_without, write_ini
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.wakeup import ReadySocket
from dtqs.store import Store
from tests.support import template
from tests.support.helpers import eventually
from tests.support.outside import OUTSIDE

Process = subprocess.Popen[bytes] | template.Started
Sections = Mapping[str, Mapping[str, object]]
_READY_SECONDS = 30.0
_QUICK: Sections = {
    "rabbitmq": {"heartbeat_seconds": 5},
    "api": {"workers": 1, "shutdown_seconds": 2, "reread_seconds": 0.5},
    "supervisor": {"drain_seconds": 10, "stop_seconds": 3},
    "pool:default": {"workers": 2},
    "retry": {"base_seconds": 0.2, "max_seconds": 2},
    "processor:echo": {"faults": "on"},
    "lease": {"heartbeat_seconds": 0.5, "lease_seconds": 5, "grace_seconds": 1, "relay_seconds": 0.2},
}
"""Times short enough for tests. A test sets the values that it is about."""


class System:
    """One running system. A test may kill its processes, and start them again with start_api and start_supervisor."""

    def __init__(self, folder: Path, dsn: str, amqp_url: str, config: Sections) -> None:
        self.folder, self.dsn, self.amqp_url = folder, dsn, amqp_url
        self.api: Process | None = None
        self.supervisor: Process | None = None
        self._reader: psycopg.Connection[tuple[Any, ...]] | None = None
        self._reading = threading.Lock()
        folder.mkdir(parents=True)
        port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        own: Sections = {
            "postgresql": {"dsn": dsn},
            "rabbitmq": {"url": amqp_url},
            "api": {"port": port},
            "supervisor": {"state_dir": folder / "state"},
            "files": {"directory": folder / "files"},
        }
        places = SandboxPaths(folder)
        settings = self._settings = _merge(_QUICK, own, OUTSIDE.settings(dsn), config)
        write_ini(places, settings)
        self.config_path = places.ini
        self._environment = environment_without(settings) | {
            "DTQS_CONFIG": str(places.ini),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.config = load(places.ini, self._environment)
        self.key = self._make_key()
        places.client_env.write_text(f"DTQS_URL={self.url}\nDTQS_API_KEY={self.key}\n", encoding="utf-8")
        self.client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=30)

    def change(self, config: Sections) -> None:
        """Change values of the file; running processes keep the old ones."""
        self._settings = _merge(self._settings, config)
        write_ini(SandboxPaths(self.folder), self._settings)

    @property
    def settings(self) -> Sections:
        """The values of the file."""
        return self._settings

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of its processes."""
        return self._environment

    def start_api(self, **environment: str) -> None:
        """Start the API, with these additions to its environment, and wait until it answers."""
        process = self.api = self._spawn("api", environment)

        def ready() -> bool:
            assert process.poll() is None, f"the API ended with status {process.returncode}:\n{self.log('api')}"
            with suppress(httpx.TransportError):
                return self.client.get("/readyz").status_code == 200
            return False

        eventually(ready, _READY_SECONDS, "the API is ready")

    def start_supervisor(self) -> None:
        """Start the supervisor and wait until all its children are ready."""
        with ReadySocket() as listener:
            process = self.supervisor = self._spawn("supervisor", {"NOTIFY_SOCKET": listener.address})

            def ready() -> bool:
                assert process.poll() is None, (
                    f"the supervisor ended with status {process.returncode}:\n{self.log('supervisor')}"
                )
                return listener.seen()

            eventually(ready, _READY_SECONDS, "the workers are ready")

    def submit(self, payload: Mapping[str, object] | None = None, task_type: str = "echo", **fields: object) -> str:
        """Submit one task and return its id."""
        response = self.client.post("/submit", json={"task_type": task_type, "payload": payload or {}, **fields})
        assert response.status_code == 202, response.text
        return str(response.json()["task_id"])

    def submit_many(
        self, count: int, payload: Mapping[str, object] | None = None, task_type: str = "echo", **fields: object
    ) -> list[str]:
        """Submit `count` equal tasks, in arrays of up to 1000, and return their ids."""
        ids: list[str] = []
        while len(ids) < count:
            body = [{"task_type": task_type, "payload": payload or {}, **fields}] * min(1000, count - len(ids))
            response = self.client.post("/submit", json=body)
            assert response.status_code == 202, response.text
            ids += [task["task_id"] for task in response.json()]
        return ids

    def task(self, task_id: str) -> dict[str, Any]:
        response = self.client.get(f"/tasks/{task_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def wait_for(self, task_id: str, *statuses: str, timeout: float = 20.0) -> dict[str, Any]:
        """Wait until the task has one of the statuses, or any outcome, and return it."""
        wanted = statuses or ("completed", "failed", "cancelled")

        def there() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["status"] in wanted else None

        task = eventually(there, timeout, f"task {task_id} is {' or '.join(wanted)}")
        assert task
        return task

    def wait_all(self, timeout: float = 30.0) -> dict[str, int]:
        """Wait until every task has an outcome, and return the count of each outcome."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            eventually(lambda: self._open_tasks(connection) == 0, timeout, "every task has an outcome")
            rows = connection.execute("SELECT outcome, count(*) FROM tasks GROUP BY outcome").fetchall()
        return {str(outcome): int(count) for outcome, count in rows}

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Read the database directly."""
        with self._reading:
            try:
                return self._execute(query, parameters)
            except psycopg.OperationalError:
                # the server may have been killed since the last reading
                self._reader = None
                return self._execute(query, parameters)

    def _execute(self, query: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        if self._reader is None:
            self._reader = psycopg.connect(self.dsn, autocommit=True)
        return self._reader.execute(query.encode(), parameters).fetchall()

    def run(self, *arguments: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run the command `dtqs` as a user of this system."""
        command = [sys.executable, "-m", "dtqs", *arguments]
        return subprocess.run(
            command,
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop_supervisor(self, number: signal.Signals = signal.SIGTERM, timeout: float = 20.0) -> int:
        """Stop the supervisor, SIGTERM to drain or SIGINT to stop now, and return its exit status."""
        assert self.supervisor
        self.supervisor.send_signal(number)
        return self.supervisor.wait(timeout)

    def stop(self) -> None:
        """End every process, also a frozen one. Safe to call twice."""
        for process in (self.supervisor, self.api):
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGINT)
        for process in (self.supervisor, self.api):
            if process:
                _end(process)
        self.client.close()
        if self._reader is not None:
            self._reader.close()

    def _spawn(self, name: str, environment: Mapping[str, str]) -> "Process":
        with (self.folder / f"{name}.log").open("ab") as log:
            if name in template.NAMES:
                return template.start(name, {**self._environment, **environment}, self.folder, log.fileno())
            # a process must not outlive a test run that is killed
            command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "dtqs", name]
            return subprocess.Popen(
                command,
                env={**self._environment, **environment},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _make_key(self) -> str:
        store = Store(self.config.postgresql, self.config.lease, size=1, name="tests")
        store.start()
        try:
            return store.api_keys.create(self.folder.name, ("submit", "read", "admin"))[1]
        finally:
            store.stop()

    def _open_tasks(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> int:
        row = connection.execute("SELECT count(*) FROM tasks WHERE outcome IS NULL").fetchone()
        assert row
        return int(row[0])


def _end(process: Process) -> None:
    """Wait for the process and kill the rest of its session.

    The API's child processes outlive a killed parent for some seconds.
    """
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def _merge(*layers: Sections) -> dict[str, dict[str, str]]:
    merged: dict[str, dict[str, str]] = {}
    for section, values in itertools.chain.from_iterable(layer.items() for layer in layers):
        merged.setdefault(section, {}).update({key: str(value) for key, value in values.items()})
    return merged


Factory = Callable[..., System]


@pytest.fixture
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Factory]:
    """Make a running system: `system({"lease": {"grace_seconds": 2}})`.

    `dsn` and `amqp_url` name servers to use instead of the session's.
    """
    made: list[System] = []
    vhosts: list[str] = []

    def vhost() -> str:
        vhosts.append(request.getfixturevalue("vhosts").make())
        return vhosts[-1]

    def make(
        config: Sections | None = None, *, dsn: str = "", amqp_url: str = "", api: bool = True, supervisor: bool = True
    ) -> System:
        # The fixtures dsn and amqp_url would end before the system's processes do.
        one = System(
            tmp_path / f"system-{len(made)}",
            dsn or request.getfixturevalue("new_dsn")(),
            amqp_url or vhost(),
            config or {},
        )
        made.append(one)
        if supervisor:
            one.start_supervisor()
        if api:
            one.start_api()
        return one

    yield make
    for one in made:
        one.stop()
    for url in vhosts:
        request.getfixturevalue("vhosts").delete(url)
