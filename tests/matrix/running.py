"""Run cells: start the servers that a cell needs, keep them for the next cells, and run pytest against them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.matrix.cells import DIRECT, PGBOUNCER, POSTGRESQL, RABBITMQ, Cell
from tests.matrix.control import Control
from tests.matrix.results import FAILED, NOT_AVAILABLE, PASSED, Result, read_junit
from tests.matrix.servers import MatrixPgbouncer, MatrixPostgres, MatrixRabbitmq, TreeServer
from tests.matrix.trees import NotAvailable, ServerFailed, tree
from tests.support.source import ROOT

_Server = TypeVar("_Server", bound=TreeServer)
_STOP_SECONDS, _TURN_SECONDS = 20, 0.2


class Servers:
    """The servers that run, by name. A cell finds those that an earlier cell started, and is alone with them."""

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
        try:
            # known before its start, so that an interrupted start leaves nothing
            if name not in self._running:
                self._running[name] = make()
            self._running[name].thaw()
            self._running[name].start()
        except NotAvailable as error:
            self._missing[name] = error
            raise
        return self._running[name]  # type: ignore[return-value]  # the name decides the class


@dataclass(frozen=True, slots=True)
class How:
    """How cells run: their results' folder, the limit of one cell, the tests, and the end of all."""

    folder: Path
    limit_seconds: float
    all_tests: bool
    interrupted: threading.Event


def run_cell(cell: Cell, servers: Servers, how: How) -> Result:
    """Run the tests of a cell and return how it ended."""
    began = time.monotonic()
    try:
        found, variables = _servers_of(cell, servers)
    except NotAvailable as error:
        return Result(NOT_AVAILABLE, note=str(error))
    except ServerFailed as error:
        return Result(FAILED, note=str(error))
    versions = ", ".join(f"{server.title} {server.version}" for server in found.values())
    report, log = how.folder / f"{cell.name}.xml", how.folder / f"{cell.name}.log"
    report.unlink(missing_ok=True)
    control = Control(found)
    try:
        variables["DTQS_TEST_CONTROL"] = control.path
        status = _pytest([f"--junitxml={report}", *cell.tests(how.all_tests)], variables, log, control, how)
    finally:
        control.close()
    seconds = round(time.monotonic() - began)
    said = f"log: {log.relative_to(ROOT) if log.is_relative_to(ROOT) else log}"
    if status is None:
        why = "interrupted" if how.interrupted.is_set() else f"not within {how.limit_seconds:g} s"
        return Result(FAILED, 0, 0, 0, seconds, f"{why}; {said}", versions)
    with suppress(FileNotFoundError):
        passed, failed, skipped, names = read_junit(report)
        if status == 0 and passed:
            return Result(PASSED, passed, failed, skipped, seconds, "", versions)
        note = f"{', '.join(names[:3]) or f'pytest ended with {status}'}; {said}"
        return Result(FAILED, passed, failed, skipped, seconds, note, versions)
    return Result(FAILED, 0, 0, 0, seconds, f"pytest ended with {status}; {said}", versions)


def _servers_of(cell: Cell, servers: Servers) -> tuple[dict[str, TreeServer], dict[str, str]]:
    """Start what the cell needs; return its servers by kind, and the variables of its tests."""
    postgresql, rabbitmq = servers.postgresql(cell.postgresql), servers.rabbitmq(cell.rabbitmq)
    found: dict[str, TreeServer] = {"postgresql": postgresql, "rabbitmq": rabbitmq}
    variables = {
        "POSTGRESQL_DSN": postgresql.dsn,
        "RABBITMQ_URL": rabbitmq.url,
        "RABBITMQ_API": rabbitmq.api,
        "QUEUE_TYPE": cell.queue_type,
        "PREPARED_STATEMENTS": "on" if cell.has_prepared else "off",
        "CELL": cell.name,
    }
    if cell.path != DIRECT:
        pgbouncer = found["pgbouncer"] = servers.pgbouncer(cell)
        variables["PGBOUNCER"] = pgbouncer.place
    return found, {f"DTQS_TEST_{name}": value for name, value in variables.items()}


def _pytest(arguments: list[str], variables: dict[str, str], log: Path, control: Control, how: How) -> int | None:
    """Run pytest in a session of its own and return its exit status; None: the time is over, and it is killed.

    One process, since a test that kills a server must be alone with it.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=25", *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DTQS_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=kept | variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + how.limit_seconds
    try:
        while process.poll() is None and time.monotonic() < deadline and not how.interrupted.is_set():
            control.serve(_TURN_SECONDS)
        return process.poll()
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
