"""Servers that listen on the bridge, and a supervisor that works for a trial from another host."""

import signal
import subprocess
import sys
from collections.abc import Mapping

from dtqs.deadline import Deadline
from dtqs.sandbox.places import SandboxPaths, write_ini
from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.sandbox.processes import family, send
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from tests.support.fix_system import _merge
from tests.support.helpers import eventually
from tests.support.namespaces import SERVERS, NamespaceHost
from tests.support.trial import LiveWorker, Trial


class BridgePostgres(PrivatePostgres):
    """A PostgreSQL that hosts on the bridge reach."""

    def wait_ready(self, deadline: Deadline) -> None:
        super().wait_ready(deadline)
        rules = self.directory / "data" / "pg_hba.conf"
        rules.write_text(rules.read_text() + f"host all all {SERVERS}/24 scram-sha-256\n")
        self.child.send(signal.SIGHUP)


class BridgeRabbitmq(PrivateRabbitmq):
    """A RabbitMQ that hosts on the bridge reach."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"RABBITMQ_NODE_IP_ADDRESS": "0.0.0.0"}


class DistantNode:
    """A node with a supervisor on a host of its own."""

    def __init__(self, trial: Trial, host: NamespaceHost) -> None:
        self._trial, self.host = trial, host
        self.folder = trial.folder / f"node-{host.address}"
        self.folder.mkdir()
        self._ini = SandboxPaths(self.folder).ini
        own: dict[str, Mapping[str, object]] = {
            "postgresql": {"dsn": trial.dsn.replace("127.0.0.1", SERVERS)},
            "rabbitmq": {"url": trial.amqp_url.replace("127.0.0.1", SERVERS)},
            "supervisor": {"state_dir": self.folder / "state"},
        }
        write_ini(SandboxPaths(self.folder), _merge(trial.settings, own))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor and wait until its workers are ready."""
        program = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "dtqs", "supervisor"]
        with (self.folder / "supervisor.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.host.inside(*program),
                env={**self._trial.environment, "DTQS_CONFIG": str(self._ini)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wanted = int(str(self._trial.settings["pool:default"]["workers"]))
        eventually(lambda: len(self.workers()) == wanted, 20, f"the workers on {self.host.address} are ready")

    def pids(self) -> list[int]:
        assert self._process
        return family(self._process.pid)

    def workers(self) -> list[LiveWorker]:
        """Return its workers that are not marked dead."""
        pids = set(self.pids())
        return [worker for worker in self._trial.workers() if worker.pid in pids]

    def freeze(self) -> list[int]:
        """Halt every process of the node, and return them. Twice: the first list misses processes that start."""
        for _ in range(2):
            for pid in self.pids():
                send(pid, signal.SIGSTOP)
        return self.pids()

    def thaw(self) -> None:
        for pid in reversed(self.pids()):
            send(pid, signal.SIGCONT)

    def log(self) -> str:
        return (self.folder / "supervisor.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End every process of the node, also a halted one."""
        if self._process is None:
            return
        self.thaw()
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        finally:
            for pid in self.pids():
                send(pid, signal.SIGKILL)
            self._process.wait(10)
