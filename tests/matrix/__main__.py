"""The command bin/test-matrix: run the cells that have not passed yet, and print the table."""

import argparse
import fcntl
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TextIO

from tests.matrix.cells import CELLS, Cell
from tests.matrix.results import Result, Results, exit_status, table
from tests.matrix.running import How, Servers, run_cell
from tests.support.source import ROOT


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/test-matrix",
        description="Test DTQS against PostgreSQL, PgBouncer and RabbitMQ of several versions, and print a table. "
        "A second call goes on where the first one ended, with the cells that have not passed. "
        "After all have passed, or after a change of the code, it begins anew.",
    )
    parser.add_argument("--only", metavar="TEXT", action="append", help="only cells whose names contain this text")
    parser.add_argument("--list", action="store_true", help="print the names of the cells and stop")
    parser.add_argument("--fresh", action="store_true", help="run also the cells that have passed")
    parser.add_argument("--all-tests", action="store_true", help="also the tests that are about processes (long)")
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, each with its own servers (default 2)")
    parser.add_argument("--seconds", type=float, default=900, help="time limit of one cell (default 900)")
    parser.add_argument("--folder", type=Path, default=ROOT / "var/matrix", help="results and logs")
    return parser.parse_args()


def _chosen(texts: list[str] | None) -> list[Cell]:
    found = [cell for cell in CELLS if not texts or any(text in cell.name for text in texts)]
    if not found:
        sys.exit(f"no cell has a name with {' or '.join(texts or [])}; bin/test-matrix --list prints all names")
    return found


def _lock(path: Path) -> TextIO:
    """Lock the folder of the results, since two runs would overwrite each other's."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another bin/test-matrix writes its results in {path.parent}: wait for its end, or use --folder")
    return file


def main() -> int:
    # an end by SIGTERM, too, stops the servers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = _arguments()
    cells = _chosen(arguments.only)
    if arguments.list:
        print("\n".join(cell.name for cell in cells))
        return 0
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with _lock(arguments.folder / "lock"):
        return _run(cells, arguments)


def _run(cells: Sequence[Cell], arguments: argparse.Namespace) -> int:
    """Run the cells, print their table, and return the exit status."""
    names = [cell.name for cell in cells]
    # a cell that passed its chosen tests has not passed all
    results = Results(arguments.folder / ("results-all.json" if arguments.all_tests else "results.json"))
    if arguments.fresh or results.are_passed(names):
        results.forget(names)
    how = How(arguments.folder, arguments.seconds, arguments.all_tests, threading.Event())
    lanes = Lanes([cell for cell in cells if not results.are_passed([cell.name])], how, results)
    try:
        lanes.run(arguments.jobs)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with these cells", flush=True)
    print("\n".join(["", *table(names, results)]))
    return exit_status(cells, results)


class Lanes:
    """Cells side by side. Each lane has servers of its own, so that a cell may kill its servers."""

    def __init__(self, cells: Sequence[Cell], how: How, results: Results) -> None:
        self._waiting, self._how, self._results = deque(cells), how, results
        self._turn = threading.Lock()

    def run(self, jobs: int) -> None:
        """Run all cells. An exception of a lane or of the caller ends all lanes first."""
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for lane in as_completed([pool.submit(self._lane) for _ in range(jobs)]):
                    lane.result()
            finally:
                self._how.interrupted.set()

    def _lane(self) -> None:
        servers = Servers()
        try:
            while not self._how.interrupted.is_set():
                try:
                    cell = self._waiting.popleft()
                except IndexError:
                    return
                self._tell(f"{cell.name} …")
                result = run_cell(cell, servers, self._how)
                if not self._how.interrupted.is_set():
                    self._keep(cell, result)
        finally:
            servers.stop()

    def _keep(self, cell: Cell, result: Result) -> None:
        with self._turn:
            self._results.keep(cell.name, result)
        counts = f"{result.passed} passed, {result.failed} failed, {result.seconds} s"
        self._tell(f"{cell.name}: {result.state}, {counts} {result.note}".rstrip())

    def _tell(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
