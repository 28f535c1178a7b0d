"""Run cells: start the servers that a cell needs, keep them for the next cells, and run pytest against them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tests.matrix.cells import DIRECT, PGBOUNCER, POSTGRESQL, RABBITMQ, Cell
from tests.matrix.results import FAILED, NOT_AVAILABLE, PASSED, Result, read_junit
from tests.matrix.servers import MatrixPgbouncer, MatrixPostgres, MatrixRabbitmq, TreeServer
from tests.matrix.trees import NotAvailable, ServerFailed, tree
from tests.support.source import ROOT

_Server = TypeVar("_Server", bound=TreeServer)
_STOP_SECONDS = 20


class Servers:
    """The servers that run, by name. A cell finds those that an earlier cell started."""

    def __init__(self) -> None:
        self._running: dict[str, TreeServer] = {}
        self._missing: dict[str, NotAvailable] = {}

    def postgresql(self, version: str) -> MatrixPostgres:
        return self._get(f"postgresql {version}", lambda: MatrixPostgres(tree(POSTGRESQL[version]), version))

    def rabbitmq(self, version: str) -> MatrixRabbitmq:
        return self._get(f"rabbitmq {version}", lambda: MatrixRabbitmq(tree(RABBITMQ[version]), version))

    def pgbouncer(self, cell: Cell) -> MatrixPgbouncer:
        behind = self.postgresql(cell.postgresql)
        return self._get(
            f"pgbouncer {cell.path} before {cell.postgresql}",
            lambda: MatrixPgbouncer(tree(PGBOUNCER[cell.path]), behind, cell.has_prepared),
        )

    def stop(self) -> None:
        while self._running:
            self._running.popitem()[1].stop()

    def _get(self, name: str, make: Callable[[], _Server]) -> _Server:
        if name in self._missing:  # a second try would take as long as the first
            raise self._missing[name]
        server = self._running.get(name)
        if server is not None and server.alive:
            return server  # type: ignore[return-value]  # the name decides the class
        try:
            if server is not None:
                server.stop()
            # known before its start, so that an interrupted start leaves nothing
            made = self._running[name] = make()
            made.start()
        except NotAvailable as error:
            self._missing[name] = error
            raise
        return made


def run_cell(cell: Cell, servers: Servers, folder: Path, limit_seconds: float) -> Result:
    """Run the tests of a cell and return how it ended."""
    began = time.monotonic()
    try:
        variables, versions = _variables(cell, servers)
    except NotAvailable as error:
        return Result(NOT_AVAILABLE, note=str(error))
    except ServerFailed as error:
        return Result(FAILED, note=str(error))
    report, log = folder / f"{cell.name}.xml", folder / f"{cell.name}.log"
    report.unlink(missing_ok=True)
    status = _pytest([f"--junitxml={report}", *cell.tests()], variables, log, limit_seconds)
    seconds = round(time.monotonic() - began)
    said = f"log: {log.relative_to(ROOT) if log.is_relative_to(ROOT) else log}"
    if status is None:
        return Result(FAILED, 0, 0, 0, seconds, f"not within {limit_seconds:g} s; {said}", versions)
    with suppress(FileNotFoundError):
        passed, failed, skipped, names = read_junit(report)
        if status == 0 and passed:
            return Result(PASSED, passed, failed, skipped, seconds, "", versions)
        note = f"{', '.join(names[:3]) or f'pytest ended with {status}'}; {said}"
        return Result(FAILED, passed, failed, skipped, seconds, note, versions)
    return Result(FAILED, 0, 0, 0, seconds, f"pytest ended with {status}; {said}", versions)


def _variables(cell: Cell, servers: Servers) -> tuple[dict[str, str], str]:
    """Start what the cell needs; return the variables of its tests, and the versions in words."""
    postgresql, rabbitmq = servers.postgresql(cell.postgresql), servers.rabbitmq(cell.rabbitmq)
    versions = {"PostgreSQL": postgresql.version, "RabbitMQ": rabbitmq.version}
    variables = {
        "POSTGRESQL_DSN": postgresql.dsn,
        "RABBITMQ_URL": rabbitmq.url,
        "RABBITMQ_API": rabbitmq.api,
        "QUEUE_TYPE": cell.queue_type,
        "PREPARED_STATEMENTS": "on" if cell.has_prepared else "off",
        "CELL": cell.name,
    }
    if cell.path != DIRECT:
        pgbouncer = servers.pgbouncer(cell)
        versions["PgBouncer"], variables["PGBOUNCER"] = pgbouncer.version, pgbouncer.place
    words = ", ".join(f"{name} {version}" for name, version in versions.items())
    return {f"DTQS_TEST_{name}": value for name, value in variables.items()}, words


def _pytest(arguments: list[str], variables: dict[str, str], log: Path, limit_seconds: float) -> int | None:
    """Run pytest in a session of its own and return its exit status; None: the time is over, and it is killed."""
    parallel = ("-n", "2", "--dist", "loadfile", "--max-worker-restart=0")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *parallel, *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DTQS_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=kept | variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        return process.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt pytest, so that its fixtures end their processes; kill it if it does not end."""
    os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
