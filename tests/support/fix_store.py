"""The store on a fresh database, and open transactions of it that other calls of a test run into."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import orjson
import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import set_json_dumps, set_json_loads

from dtqs.config import LeaseSection, PostgresqlSection
from dtqs.confirmed import Confirmed, ConfirmedHints
from dtqs.errors import WorkerDied
from dtqs.settlement import Kind, Settlement
from dtqs.store import Store
from dtqs.store.driver.connection import LimitedConnection, Row
from dtqs.store.driver.database import Database, Run
from dtqs.store.driver.plain import PLAIN, runner
from dtqs.store.driver.statements import statement
from dtqs.store.workers import WorkerIdentity, WorkerReport
from dtqs.task import Due, NewTask
from dtqs.uuid7 import uuid7
from tests.support.helpers import eventually
from tests.support.outside import OUTSIDE

T = TypeVar("T")
NODE, BOOT = uuid7(), uuid7()
DIED = WorkerDied("signal 9 (SIGKILL)")
TABLES = (
    "tasks",
    "backlog",
    "leases",
    "logs",
    "workers",
    "counters",
    "failures",
    "idempotency_keys",
    "api_keys",
    "rates",
    "files",
)
REPORT = WorkerReport("ready", None, None, None, 0, 0, 0)


def settled(
    task_ids: Sequence[str], kind: Kind = Kind.COMPLETED, value: str | None = None, delay_seconds: float = 0.0
) -> list[Settlement]:
    """Return a settlement of each task, all of the same kind."""
    words = {Kind.COMPLETED: '{"ok": true}', Kind.UNSPENT: None}.get(kind, '{"message": "no luck"}')
    return [Settlement(task_id, kind, value or words, delay_seconds) for task_id in task_ids]


def confirmed(dues: Sequence[Due]) -> list[Confirmed]:
    """Return what a publisher notes when the broker has confirmed the hints of these tasks."""
    noted = ConfirmedHints(1 << 20)
    noted.add(dues)
    return noted.take()


class OpenDatabase(Database):
    """Runs the store's own methods in one transaction, which stays open until the test ends it."""

    def __init__(self, section: PostgresqlSection) -> None:
        super().__init__(section, 1, "held open")
        self.connection = LimitedConnection.connect(section.dsn.get_secret_value(), application_name="held open")
        set_json_loads(orjson.loads, self.connection)
        set_json_dumps(orjson.dumps, self.connection)

        self._skipped: dict[str, list[Row]] = {}

    def skip(self, name: str, rows: list[Row]) -> None:
        """Let a statement return these rows without running it, to test the next statement on its own."""
        self._skipped[name] = rows

    def transaction_once(self, work: Callable[[Run], T]) -> T:
        return work(self.run_once)

    def run(
        self, name: str, parameters: Any = None, deadline: object = None, few: bool = False, again: str = ""
    ) -> list[Row]:
        return self.run_once(again or name, parameters, few)  # an error would end the open transaction

    def run_once(self, name: str, parameters: Any = None, few: bool = False) -> list[Row]:
        if name in self._skipped:
            return self._skipped[name]
        if name in PLAIN:
            self.connection.execute("SELECT")  # the driver begins the transaction, which plain statements do not
            return runner(name).run(self.connection, parameters)
        cursor = self.connection.execute(statement(name), parameters)
        return cursor.fetchall() if cursor.description else []


class StrictDatabase(Database):
    """Raises at a deadlock instead of retrying: the order of locks allows no deadlock."""

    @contextmanager
    def _connection(self) -> Iterator[LimitedConnection]:
        with super()._connection() as connection:
            try:
                yield connection
            except psycopg.errors.DeadlockDetected as error:
                raise AssertionError(f"deadlock: {error}") from error


class StoreOn(Store):
    """A store over a database that the test made."""

    def __init__(self, database: Database, lease: LeaseSection) -> None:
        super().__init__(database._section, lease, 1, "replaced")
        self.database = database
        for part in vars(self).values():
            if hasattr(part, "_database"):
                part._database = database


class OpenStore(StoreOn):
    """A store in one open transaction: nobody sees its changes until `commit`, and it holds its locks until then."""

    def __init__(self, section: PostgresqlSection, lease: LeaseSection) -> None:
        self.open = OpenDatabase(section)
        super().__init__(self.open, lease)

    def run(self, name: str, **parameters: object) -> list[Row]:
        """Run one statement of the store, for a transaction that stands between two others."""
        return self.open.run_once(name, parameters)

    def commit(self) -> None:
        self.open.connection.commit()

    def close(self) -> None:
        self.open.connection.close()


class Meeting(Generic[T]):
    """A call in its own thread, which runs into a transaction that the test holds open."""

    def __init__(self, world: "World", call: Callable[[Store], T]) -> None:
        self._world, self._name = world, f"meeting {next(world.numbers)}"
        self._call = call
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def waits(self) -> "Meeting[T]":
        """Wait until the call waits for a lock."""
        eventually(self._is_waiting, what=f"{self._name} waits for a lock")
        return self

    def result(self) -> T:
        """Return the result of the call, which needs no more help from here on."""
        self._thread.join(8)
        assert not self._thread.is_alive(), f"{self._name} still waits: {self._world.activity()}"
        if self._error:
            raise self._error
        return self._result[0]

    def _is_waiting(self) -> bool:
        assert self._thread.is_alive(), f"it did not wait: {self._result or self._error}"
        rows = self._world.rows(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'", self._name
        )
        return bool(rows)

    def _run(self) -> None:
        store = self._world.new_store(self._name)
        try:
            self._result.append(self._call(store))
        except BaseException as error:  # the test's own thread raises it
            self._error = error
        finally:
            store.stop()


class World:
    """A fresh database with a store, and the verbs of the protocol's tests."""

    def __init__(self, dsn: str) -> None:
        path = OUTSIDE.settings(dsn)["postgresql"]
        self.section = PostgresqlSection.model_validate({**path, "connect_timeout_seconds": 5})
        self.lease = LeaseSection()
        self.numbers = itertools.count(1)
        self._looking = psycopg.connect(dsn, autocommit=True, application_name="the test")
        for table in TABLES:
            self._looking.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        self.store = self.new_store("the test's store")

    def new_store(self, name: str) -> Store:
        store = StoreOn(StrictDatabase(self.section, 1, name), self.lease)
        store.start()
        return store

    def close(self) -> None:
        self.store.stop()
        self._looking.close()

    def rows(self, query: str, *parameters: object) -> list[Row]:
        return self._looking.execute(query.encode(), parameters).fetchall()

    def execute(self, *commands: str) -> None:
        for command in commands:
            self._looking.execute(command.encode())

    def value(self, query: str, *parameters: object) -> Any:
        ((value,),) = self.rows(query, *parameters)
        return value

    @contextmanager
    def held_open(self) -> Iterator[OpenStore]:
        store = OpenStore(self.section, self.lease)
        try:
            yield store
        finally:
            store.close()

    def meet(self, call: Callable[[Store], T]) -> Meeting[T]:
        return Meeting(self, call)

    def activity(self) -> list[Row]:
        return self.rows(
            "SELECT application_name, state, wait_event_type, left(query, 60)"
            " FROM pg_stat_activity WHERE datname = current_database()"
        )

    def submit(self, count: int = 1, **fields: Any) -> list[str]:
        """Store light tasks; `fields` are those of NewTask."""
        defaults: dict[str, Any] = {"task_type": "echo", "light": True, "payload": "{}"}
        tasks = [NewTask(uuid7(), **defaults | fields) for _ in range(count)]
        self.store.tasks.insert(tasks)
        return sorted(task.task_id for task in tasks)

    def worker(self, node_id: str = NODE, boot_id: str = BOOT) -> str:
        worker_id = uuid7()
        self.store.workers.register(WorkerIdentity(worker_id, node_id, boot_id, "node", "default", 0, 1))
        return worker_id

    def claim(self, worker_id: str, task_ids: Sequence[str]) -> str:
        """Claim all of the tasks and return the lease."""
        lease_id = uuid7()
        claimed, _ = self.store.leases.claim(worker_id, lease_id, task_ids)
        assert sorted(task.task_id for task in claimed) == sorted(task_ids)
        return lease_id

    def run(self, task_ids: Sequence[str], kind: Kind = Kind.COMPLETED, **fields: Any) -> None:
        """Claim the tasks with a worker of their own and settle them."""
        lease_id = self.claim(self.worker(), task_ids)
        self.store.leases.finish(lease_id, settled(task_ids, kind, **fields))

    def heartbeat(self, worker_id: str) -> str:
        """Return this worker's last heartbeat as a keeper reads it."""
        return self.store.workers.heartbeats()[worker_id].at

    def grow_old(self, worker_id: str, seconds: float = 60.0) -> None:
        """Set the worker's last heartbeat this long ago."""
        self.rows(
            "UPDATE workers SET heartbeat_at = now() - %s * interval '1 s' WHERE id = %s RETURNING 1",
            seconds,
            worker_id,
        )

    def status(self, task_id: str) -> str:
        return str(self.value("SELECT status FROM task_status WHERE id = %s", task_id))

    def statuses(self, task_ids: Sequence[str]) -> list[str]:
        return [self.status(task_id) for task_id in task_ids]

    def attempts(self, task_id: str) -> int:
        return int(self.value("SELECT attempts FROM tasks WHERE id = %s", task_id))

    def events(self, task_id: str) -> list[str]:
        return [row.event for row in self.store.reads.logs(task_id)]

    def leased_to(self, task_id: str) -> list[str]:
        """Return the workers whose leases hold the task."""
        return [row[0] for row in self.rows("SELECT worker_id::text FROM leases WHERE %s = ANY (task_ids)", task_id)]

    def make_due(self, task_ids: Sequence[str]) -> None:
        self.rows(
            "UPDATE backlog SET due_at = now(), publish_at = now() WHERE task_id = ANY (%s::uuid[]) RETURNING 1",
            list(task_ids),
        )

    def check(self) -> None:
        """Check law 3 for every task: a task is in exactly one place until it has an outcome, and then in none."""
        after: str | None = None
        while True:
            audited = self.store.audit.batch(after, 1000)
            assert not audited.violations
            after = audited.after
            if after is None:
                break
        assert not self.store.audit.strays()


@pytest.fixture(scope="session")
def shared_dsn(new_dsn: Callable[[], str]) -> str:
    """A database that tests use one after the other: making one takes longer than most tests."""
    return new_dsn()


@pytest.fixture
def world(shared_dsn: str) -> Iterator[World]:
    """The store on a database with empty tables."""
    yield from _world(shared_dsn)


@pytest.fixture
def held(world: World) -> Iterator[OpenStore]:
    """A transaction of the store that stays open until the test ends it."""
    with world.held_open() as store:
        yield store


@pytest.fixture
def fresh_world(dsn: str) -> Iterator[World]:
    """The store on a new database, for tests of plans, statistics, partitions and settings, which emptying keeps."""
    yield from _world(dsn)


def _world(dsn: str) -> Iterator[World]:
    made = World(dsn)
    yield made
    made.close()
