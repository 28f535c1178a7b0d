"""The servers of a benchmark: a private PostgreSQL and RabbitMQ in a temporary folder, and fresh databases.

Everything is stopped and removed at the end, also after an error, Ctrl-C or SIGTERM.
"""

import itertools
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from yardstick import Place

from dtqs.deadline import Deadline
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.postgres import DATABASE, PrivatePostgres
from dtqs.sandbox.rabbitmq import PrivateRabbitmq

_READY_SECONDS = 60.0
_ENDING = (signal.SIGINT, signal.SIGTERM)


class NotReady(Exception):
    """A condition was not met in time."""


def say(line: str) -> None:
    """Print progress to standard error; standard output is for the results."""
    print(line, file=sys.stderr, flush=True)


def wait_until(condition: str, ready: Callable[[], bool], seconds: float, every_seconds: float = 0.05) -> None:
    """Wait until `ready` returns True. Raises NotReady, which names the condition."""
    deadline = Deadline(seconds)
    while not ready():
        if deadline.passed:
            raise NotReady(f"not within {seconds:g} s: {condition}")
        time.sleep(every_seconds)


class Rig:
    """Both servers, as a context manager."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """`settings`: of PostgreSQL, beside its defaults."""
        self._settings = settings
        self._stack = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> "Rig":
        for number in _ENDING:
            signal.signal(number, _end)
        with self._stack:
            self.folder = Path(tempfile.mkdtemp(prefix="dtqs-bench-"))
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.folder.chmod(0o755)  # the servers run as other users, who must be able to enter
            amqp, distribution, epmd, postgresql = free_ports(4)
            self.rabbitmq = PrivateRabbitmq(self.folder / "rabbitmq", amqp, distribution, epmd)
            self.postgres = PrivatePostgres(self.folder / "postgresql", postgresql, settings=self._settings)
            for server in (self.rabbitmq, self.postgres):
                self._stack.callback(server.stop)
                server.start()
            self.postgres.wait_ready(Deadline(_READY_SECONDS))
            self.rabbitmq.wait_ready(Deadline(_READY_SECONDS))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def database(self) -> Iterator[str]:
        """Create an empty database, and drop it afterwards.

        A checkpoint comes first, so that earlier writes do not slow down the measurement.
        """
        name = f"bench_{next(self._numbers)}"
        dsn = f"{self.postgres.dsn.removesuffix(DATABASE)}{name}"
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            self.checkpoint()
            yield dsn
        finally:
            # as administrator: the product's role may not end an autovacuum in this database
            with psycopg.connect(self.postgres.admin_dsn, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Return a fresh database for the yardstick, and the broker."""
        with self.database() as dsn:
            yield Place(dsn, self.rabbitmq.url)

    def admin(self, dsn: str) -> "psycopg.Connection[tuple[Any, ...]]":
        """Connect to a database as administrator, without the settings of the product's role."""
        return psycopg.connect(
            f"{self.postgres.admin_dsn.removesuffix(DATABASE)}{dsn.rpartition('/')[2]}", autocommit=True
        )

    def checkpoint(self) -> None:
        with psycopg.connect(self.postgres.admin_dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")


def _end(number: int, _frame: FrameType | None) -> None:
    """Exit with cleanup. A second signal must not interrupt the cleanup, which has time limits of its own."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)
