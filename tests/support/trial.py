"""A system under trial: verbs for the tests that kill, cut and stop its parts, and the check of the promise."""

import os
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pika

from dtqs.broker.checkup import look_once
from dtqs.broker.topology import QUEUE
from dtqs.errors import BrokerUnavailable, StoreUnavailable
from dtqs.event import encode_hint
from dtqs.sandbox.processes import family
from dtqs.sandbox.wakeup import ReadySocket
from dtqs.store import Store
from dtqs.store.reads import TaskLogRow
from dtqs.task import NewTask
from dtqs.uuid7 import uuid7
from tests.support.fix_system import Process, Sections, System, _merge
from tests.support.helpers import eventually

OUTCOMES = ("completed", "failed", "cancelled")
_PROCESSORS = (
    "nap",
    "bomb",
    "family",
    "stubborn",
    "locked",
    "leaks",
    "stubborn_once",
    "shape",
    "effect",
    "once",
    "hoard",
    "odd",
    "marks",
    "holds",
    "grow",
    "ticks",
    "pools",
)
SHORT: Sections = {
    "postgresql": {"connect_timeout_seconds": 2, "statement_timeout_seconds": 5},
    "rabbitmq": {"heartbeat_seconds": 2, "connect_timeout_seconds": 2, "publish_timeout_seconds": 2},
    "api": {"workers": 1, "shutdown_seconds": 2, "reread_seconds": 0.5},
    "supervisor": {
        "drain_seconds": 10,
        "stop_seconds": 5,
        "hard_limit_seconds": 0.5,
        "restart_base_seconds": 0.05,
        "restart_max_seconds": 0.2,
    },
    "pool:default": {"workers": 2},
    "retry": {"base_seconds": 0.1, "max_seconds": 0.2},
    "lease": {"heartbeat_seconds": 0.3, "lease_seconds": 2.5, "grace_seconds": 1, "relay_seconds": 0.1},
}


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker that is not marked dead, as its row shows it."""

    worker_id: str
    pid: int
    slot: int
    task_id: str | None


class Trial(System):
    """A running system whose parts a test may break. Tasks go in through the store (a keeper relays them) or HTTP."""

    def __init__(self, folder: Path, dsn: str, amqp_url: str, config: Sections, packages: Path) -> None:
        super().__init__(folder, dsn, amqp_url, _merge(SHORT, config))
        self._environment["PYTHONPATH"] += f":{packages}"
        self.store = Store(self.config.postgresql, self.config.lease, 2, "trial")
        self.store.start()
        self._others: list[Process] = []

    def stop(self) -> None:
        for process in self._others:
            process.kill()
            process.wait(10)
        super().stop()
        self.store.stop()

    def start_another_supervisor(self, command: str = "supervisor") -> Process:
        """Start another supervisor on the same configuration and state folder; wait until its children are ready."""
        with ReadySocket() as listener:
            process = self._spawn(command, {"NOTIFY_SOCKET": listener.address})
            self._others.append(process)
            eventually(listener.seen, 20, "the other supervisor is ready")
        return process

    def put(
        self,
        payload: Mapping[str, object] | None = None,
        count: int = 1,
        *,
        task_type: str = "echo",
        light: bool = True,
        **fields: Any,
    ) -> list[str]:
        """Store `count` equal tasks and return their ids in order; `fields` are those of NewTask."""
        text = orjson.dumps(payload or {}).decode()
        tasks = [NewTask(uuid7(), task_type, light, text, **fields) for _ in range(count)]
        for start in range(0, count, 1000):
            some = tasks[start : start + 1000]
            eventually(lambda: self._insert(some), 10, "PostgreSQL takes the tasks")  # noqa: B023
        return [task.task_id for task in tasks]

    def _insert(self, tasks: Sequence[NewTask]) -> bool:
        # after an outage PgBouncer refuses for `server_login_retry` seconds; a repeated insert changes nothing
        with suppress(StoreUnavailable):
            self.store.tasks.insert(tasks)
            return True
        return False

    def put_one(
        self,
        payload: Mapping[str, object] | None = None,
        *,
        task_type: str = "echo",
        light: bool = False,
        **fields: Any,
    ) -> str:
        """Store one task, heavy by default."""
        return self.put(payload, task_type=task_type, light=light, **fields)[0]

    def hint(self, task_ids: Sequence[str], *, light: bool = False, task_type: str = "echo", times: int = 1) -> None:
        """Publish hints as a faulty publisher might: too many, too early, for tasks that have ended."""
        self.publish(encode_hint(task_type, light, task_ids), times)

    def publish(self, body: bytes, times: int = 1) -> None:
        """Publish to the task queue, once it exists."""
        eventually(self._has_queue, 10, "the queue exists")
        with pika.BlockingConnection(pika.URLParameters(self.amqp_url)) as connection:
            channel = connection.channel()
            for _ in range(times):
                channel.basic_publish("", QUEUE, body, pika.BasicProperties(priority=5))

    def _has_queue(self) -> bool:
        with suppress(BrokerUnavailable):  # a busy machine may answer later
            return look_once(self.config.rabbitmq, "trial") is not None
        return False

    def workers(self) -> list[LiveWorker]:
        rows = self.rows(
            "SELECT id::text, pid, slot, task_id::text FROM workers WHERE dead_at IS NULL ORDER BY started_at"
        )
        return [LiveWorker(*row) for row in rows]

    def holder(self, task_id: str) -> LiveWorker:
        """Wait until a worker holds the task, and return it."""
        query = (
            "SELECT w.id::text, w.pid, w.slot, w.task_id::text FROM leases l JOIN workers w ON w.id = l.worker_id"
            " WHERE w.dead_at IS NULL AND %s::uuid = ANY (l.task_ids)"
        )
        return LiveWorker(*eventually(lambda: self.rows(query, task_id), 10, f"a worker holds {task_id}")[0])

    def running(self, task_id: str) -> LiveWorker:
        """Wait until a worker's heartbeat shows that it runs the task, and return the worker."""
        return eventually(
            lambda: [worker for worker in self.workers() if worker.task_id == task_id], 10, f"a worker runs {task_id}"
        )[0]

    def outcome(self, task_id: str, timeout: float = 15.0) -> str:
        return self.outcomes([task_id], timeout)[0]

    def outcomes(self, task_ids: Sequence[str], timeout: float = 15.0) -> list[str]:
        """Wait until each of the tasks has an outcome, and return them in order."""
        ids = list(task_ids)

        def ended() -> bool:
            return not self.rows("SELECT 1 FROM tasks WHERE id = ANY (%s::uuid[]) AND outcome IS NULL LIMIT 1", ids)

        eventually(ended, timeout, "each of the tasks has an outcome")
        return [
            row[0]
            for row in self.rows(
                "SELECT outcome FROM unnest(%s::uuid[]) WITH ORDINALITY x(id, n) JOIN tasks USING (id) ORDER BY n", ids
            )
        ]

    def done(self, timeout: float = 30.0) -> Counter[str]:
        """Wait until every task has an outcome; check the promise and count the outcomes."""
        eventually(
            lambda: not self.rows("SELECT 1 FROM tasks WHERE outcome IS NULL LIMIT 1"),
            timeout,
            "every task has an outcome",
        )
        self.check()
        return Counter(row[0] for row in self.rows("SELECT outcome FROM tasks"))

    def check(self) -> None:
        """Check the promise: a task that ended has one final event, any other is in one place, and nothing strays."""
        after: str | None = None
        while True:
            audited = self.store.audit.batch(after, 1000)
            assert not audited.violations
            after = audited.after
            if after is None:
                break
        assert not self.store.audit.strays()
        wrong = self.rows(
            "SELECT t.id::text, t.outcome, count(g.id), min(g.event)"
            " FROM tasks t LEFT JOIN logs g ON g.task_id = t.id AND g.event = ANY (%s)"
            " GROUP BY t.id HAVING count(g.id) <> (t.outcome IS NOT NULL)::int OR min(g.event) <> t.outcome",
            list(OUTCOMES),
        )
        assert not wrong

    def attempts(self, task_id: str) -> int:
        return int(self.rows("SELECT attempts FROM tasks WHERE id = %s", task_id)[0][0])

    def error(self, task_id: str) -> str:
        return str(self.rows("SELECT error ->> 'message' FROM tasks WHERE id = %s", task_id)[0][0])

    def logs(self, task_id: str) -> list[TaskLogRow]:
        return self.store.reads.logs(task_id)

    def events(self, task_id: str) -> list[str]:
        return [row.event for row in self.logs(task_id)]

    def spent(self) -> dict[int, int]:
        """Return the number of tasks for each number of spent attempts."""
        return dict(self.rows("SELECT attempts, count(*) FROM tasks GROUP BY 1"))

    def pids(self) -> list[int]:
        """Return every process of the system."""
        roots = [process.pid for process in (self.api, self.supervisor, *self._others) if process]
        return [pid for root in roots for pid in family(root)]

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def kill_supervisor(self) -> list[int]:
        """Kill the supervisor and return its processes."""
        assert self.supervisor
        pids = family(self.supervisor.pid)
        self.supervisor.kill()
        self.supervisor.wait(10)
        return pids

    def kill_api(self) -> None:
        """Kill every process of the API at once."""
        assert self.api
        os.killpg(self.api.pid, signal.SIGKILL)
        self.api.wait(10)


def alive(pids: Sequence[int]) -> list[int]:
    """Return the processes that exist and are no zombies."""
    return [pid for pid in pids if family(pid)]


def gone(pids: Sequence[int], seconds: float = 5.0) -> None:
    eventually(lambda: not alive(pids), seconds, "no process is left")


def delete_queue(url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_delete(QUEUE)


def purge_queue(url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_purge(QUEUE)


def install_processors(
    folder: Path, module: str = "tests.support.trial_processors", names: Sequence[str] = _PROCESSORS
) -> Path:
    """Make a folder that, on PYTHONPATH, registers processors as an installed package would."""
    about = folder / "dtqs_trial-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dtqs-trial\nVersion: 1\n", encoding="utf-8")
    points = "".join(f"{name} = {module}:{name}\n" for name in names)
    (about / "entry_points.txt").write_text(f"[dtqs.processors]\n{points}", encoding="utf-8")
    return folder
