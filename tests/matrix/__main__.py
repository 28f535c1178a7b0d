"""The command bin/test-matrix: run the cells that have not passed yet, and print the table."""

import argparse
import fcntl
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tests.matrix.cells import CELLS, Cell
from tests.matrix.results import PASSED, Results, exit_status, table
from tests.matrix.running import Servers, run_cell
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
    results = Results(arguments.folder / "results.json")
    if arguments.fresh or results.are_passed(names):
        results.forget(names)
    servers = Servers()
    try:
        for number, cell in enumerate(cells, 1):
            if cell.name in results.by_name and results.by_name[cell.name].state == PASSED:
                continue
            print(f"{number} of {len(cells)}: {cell.name} …", flush=True)
            result = run_cell(cell, servers, arguments.folder, arguments.seconds)
            results.keep(cell.name, result)
            print(f"  {result.state}, {result.passed} passed, {result.seconds} s {result.note}".rstrip(), flush=True)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with this cell", flush=True)
    finally:
        servers.stop()
    print("\n".join(["", *table(names, results)]))
    return exit_status(cells, results)


if __name__ == "__main__":
    sys.exit(main())
