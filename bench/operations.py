"""Operate a node under load as its operator does, and count the tasks that felt it: lost, doubled, spent, refused.

    python bench/operations.py [--rate 500] [--reloads 10] [--quiet-seconds 150]

Reloads with changed configuration, an upgrade, TTIN and TTOU, a rolling restart of the API with open streams, and a
pool that scales itself up and down.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from http_load import BadReply, Client, post
from product import Product, running
from rig import Rig, say, wait_until

from dtqs.client import Client as ApiClient
from dtqs.errors import DtqsError

_ARRAY, _HEAVY = 25, 1
_HEAVY_SECONDS = 0.02
_STEP_SECONDS = 30.0
_STREAMS, _STREAMED_SECONDS = 20, 1.0
_STREAM_SECONDS = 300.0
"""Time limit of a stream: on a slow machine its task waits behind others."""
_SOURCE = Path(__file__).resolve().parent.parent
_PARTS = ("conf", "dtqs", "migrations", "schema.sql", "setup.py")
_NEW_VERSION = "99.0.0"
_CHECKS = {
    "accepted tasks without an outcome": "SELECT count(*) FROM task_status WHERE status <> 'completed'",
    "tasks with more than one attempt": "SELECT count(*) FROM tasks WHERE attempts > 1",
    "tasks with more than one completion": "SELECT count(*) FROM (SELECT task_id FROM logs WHERE message = 'completed'"
    " GROUP BY task_id HAVING count(*) > 1) AS doubled",
    "leases left": "SELECT count(*) FROM leases",
}


class Submits:
    """Submits arrays at a steady rate, each on a new connection."""

    def __init__(self, product: Product, rate: float) -> None:
        heavy = {"task_type": "echo", "payload": {"sleep_seconds": _HEAVY_SECONDS}}
        tasks = [{"task_type": "echo", "payload": {"a": 1}}] * (_ARRAY - _HEAVY) + [heavy] * _HEAVY
        self._product, self._request, self._pause = product, post("/submit", tasks, product.key), _ARRAY / rate
        self.accepted, self.refused = 0, 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        end = threading.Event()
        thread = threading.Thread(target=self._submit, args=(end,))
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def _submit(self, end: threading.Event) -> None:
        due = time.monotonic()
        while not end.wait(max(0.0, due - time.monotonic())):
            due += self._pause
            try:
                with Client(self._product.port) as client:
                    client.send(self._request)
                self.accepted += _ARRAY
            except (OSError, BadReply) as error:
                self.refused += _ARRAY
                say(f"  refused: {str(error)[:200]}")


class Streams:
    """Streams of tasks that run for some seconds, each read to its end."""

    def __init__(self, product: Product, submits: Submits) -> None:
        self._product, self._submits = product, submits
        self.broken = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Open them, and read each to its end. One that ends without the final event is counted as broken."""
        task = {"task_type": "echo", "payload": {"sleep_seconds": _STREAMED_SECONDS, "steps": 10}}
        with Client(self._product.port) as client:
            answer = json.loads(client.send(post("/submit", [task] * _STREAMS, self._product.key)))
        self._submits.accepted += _STREAMS
        ids = [each["task_id"] for each in answer]
        threads = [threading.Thread(target=self._read, args=(each,)) for each in ids]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join()

    def _read(self, task_id: str) -> None:
        last = None
        try:
            with ApiClient(f"http://127.0.0.1:{self._product.port}", self._product.key) as client:
                for event in client.stream(task_id, wait_seconds=_STREAM_SECONDS):
                    last = event
        except DtqsError as error:
            say(f"  a stream has failed: {error}")
        self.broken += last is None or last.name != "completed"


class Node:
    """The running node, as its operator sees and commands it."""

    def __init__(self, product: Product) -> None:
        self._product = product

    def reload(self, pool: dict[str, str]) -> float:
        """Write another pool into the file and reload. Return the seconds. Raises RuntimeError with the refusal."""
        self._product.configure_pool(pool)
        return _timed(lambda: self._ctl("reload"))

    def version(self) -> str:
        return str(json.loads(self._ctl("status", "--json"))["version"])

    def send(self, number: int, workers: int) -> None:
        """Send a signal, and wait until this many workers live."""
        os.kill(self._product.supervisor_pid, number)
        self.wait_workers(workers, f"{signal.Signals(number).name} has its effect")

    def wait_workers(self, count: int, condition: str, seconds: float = _STEP_SECONDS) -> None:
        wait_until(condition, lambda: self.workers() == count, seconds)

    def wait_shrunk(self, before: int, seconds: float) -> None:
        wait_until(f"the pool has fewer than {before} workers", lambda: self.workers() < before, seconds)

    def workers(self) -> int:
        """Return how many workers take tasks. A leaving one is `draining`."""
        query = "SELECT count(*) FROM workers WHERE dead_at IS NULL AND pool = 'default' AND state IN ('ready', 'busy')"
        return int(self._product.value(query))

    def _ctl(self, *words: str) -> str:
        command = self._product.command("ctl", *words, "--pid", str(self._product.supervisor_pid))
        done = subprocess.run(command, env=self._product.environment(), capture_output=True, text=True, timeout=180)
        if done.returncode:
            raise RuntimeError(f"dtqs ctl {words[0]} failed: {done.stdout}{done.stderr}")
        return done.stdout


def operate(
    product: Product, submits: Submits, streams: Streams, code: Path, options: argparse.Namespace
) -> Iterator[tuple[str, str]]:
    """Run all steps. Yield what to show, as pairs of a name and a figure."""
    node = Node(product)
    with submits.going_on():
        pools = [{"workers": str(2 + n % 2), "batch_limit": str(100 + n)} for n in range(options.reloads)]
        seconds = [node.reload(pool) for pool in pools]
        yield f"{options.reloads} reloads, seconds each", f"{min(seconds):.1f} to {max(seconds):.1f}"
        before = node.version()
        install(code, _NEW_VERSION)
        took = node.reload({"workers": "2"})
        yield f"upgrade from {before} to {node.version()}, seconds", f"{took:.1f}"
        node.wait_workers(2, "two workers after the reload")
        for number, workers in ((signal.SIGTTIN, 3), (signal.SIGTTIN, 4), (signal.SIGTTOU, 3), (signal.SIGTTOU, 2)):
            node.send(number, workers)
        yield "TTIN, TTIN, TTOU, TTOU", "2 to 4 workers and back"
        with streams.open():
            yield "rolling restart of the API, seconds", f"{_timed(lambda: _restart_api(product)):.1f}"
        node.reload({"min": "2", "max": "4", "target_wait_seconds": "1", "quiet_seconds": "5"})
        yield from _autoscale(product, node, submits, options.quiet_seconds)


def _autoscale(product: Product, node: Node, submits: Submits, quiet_seconds: float) -> Iterator[tuple[str, str]]:
    """Grow by a burst and shrink after it, while the other tasks keep coming."""
    burst = post("/submit", [{"task_type": "echo", "payload": {"sleep_seconds": 1}}] * 60, product.key)
    with Client(product.port) as client:
        client.send(burst)
    submits.accepted += 60
    up = _timed(lambda: node.wait_workers(4, "the pool has grown to its maximum"))
    yield "a burst: seconds to 4 workers", f"{up:.1f}"
    yield "after it: seconds to the first shrink", f"{_timed(lambda: node.wait_shrunk(4, quiet_seconds)):.1f}"


def install(code: Path, version: str = "") -> None:
    """Install this checkout into a folder, or give that installation another version."""
    if not version:
        code.mkdir()
        for part in _PARTS:
            copy = shutil.copytree if (_SOURCE / part).is_dir() else shutil.copy
            copy(_SOURCE / part, code / part)
        return
    place = code / "dtqs" / "__init__.py"
    lines = place.read_text(encoding="utf-8").splitlines(keepends=True)
    changed = [f'__version__ = "{version}"\n' if line.startswith("__version__ = ") else line for line in lines]
    place.with_name("new").write_text("".join(changed), encoding="utf-8")
    place.with_name("new").replace(place)


def _restart_api(product: Product) -> None:
    """Reload the API, and wait until other processes serve."""
    before = _processes(product)
    os.kill(product.server.pid, signal.SIGHUP)
    wait_until("other API processes serve", lambda: not before & _processes(product), _STEP_SECONDS)


def _processes(product: Product) -> set[int]:
    with suppress(OSError), open(f"/proc/{product.server.pid}/task/{product.server.pid}/children") as children:
        return {int(pid) for pid in children.read().split()}
    return set()


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500.0, help="tasks per second (default 500)")
    parser.add_argument("--reloads", type=int, default=10, help="reloads with changed configuration (default 10)")
    parser.add_argument("--quiet-seconds", type=float, default=150.0, help="most time to shrink (default 150)")
    options = parser.parse_args()
    shown: list[tuple[str, str]] = []
    with Rig() as rig:
        code = rig.folder / "code"
        install(code)
        with running(rig, code) as product:
            product.start_workers(2)
            product.wait_workers(2)
            submits = Submits(product, options.rate)
            streams = Streams(product, submits)
            for name, figure in operate(product, submits, streams, code, options):
                say(f"{name}: {figure}")
                shown.append((name, figure))
            product.wait_drained()
            counted = {name: int(product.value(query)) for name, query in _CHECKS.items()}
            stored = int(product.value("SELECT count(*) FROM tasks"))
    counted["submits refused"] = submits.refused
    counted["accepted tasks that are not stored"] = submits.accepted - stored
    counted[f"of {_STREAMS} streams, without their final event"] = streams.broken
    for name, figure in [*shown, ("tasks accepted", f"{submits.accepted:,}"), *counted.items()]:
        print(f"{name:50} {figure}")
    return 1 if any(counted.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
