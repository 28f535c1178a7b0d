"""Operate a node under load as its operator does, and count the tasks that felt it: lost, doubled, spent, refused.

    python bench/operations.py [--rate 500] [--reloads 10] [--quiet-seconds 100]

Reloads with changed configuration, TTIN and TTOU, a rolling restart of the API, and a pool that scales itself.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from http_load import BadReply, Client, post
from product import Product, running
from rig import Rig, say, wait_until

_ARRAY, _HEAVY = 25, 1
_HEAVY_SECONDS = 0.02
_STEP_SECONDS = 30.0
_CHECKS = {
    "accepted tasks without an outcome": "SELECT count(*) FROM tasks WHERE status <> 'completed'",
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


class Node:
    """The running node, as its operator sees and commands it."""

    def __init__(self, product: Product) -> None:
        self._product = product

    def reload(self, pool: dict[str, str]) -> float:
        """Write another pool into the file and reload. Return the seconds. Raises RuntimeError with the refusal."""
        self._product.configure_pool(pool)
        began = time.monotonic()
        command = [sys.executable, "-m", "dtqs", "ctl", "reload", "--pid", str(self._product.supervisor_pid)]
        done = subprocess.run(command, env=self._product.environment(), capture_output=True, text=True, timeout=180)
        if done.returncode:
            raise RuntimeError(f"the reload failed: {done.stdout}{done.stderr}")
        return time.monotonic() - began

    def send(self, number: int, workers: int) -> None:
        """Send a signal, and wait until this many workers live."""
        os.kill(self._product.supervisor_pid, number)
        self.wait_workers(workers, f"{signal.Signals(number).name} has its effect")

    def wait_workers(self, count: int, condition: str, seconds: float = _STEP_SECONDS) -> None:
        wait_until(condition, lambda: self.workers() == count, seconds)

    def workers(self) -> int:
        query = "SELECT count(*) FROM workers WHERE dead_at IS NULL AND pool = 'default' AND state = 'ready'"
        return int(self._product.value(query))


def operate(product: Product, submits: Submits, reloads: int, quiet_seconds: float) -> list[tuple[str, str]]:
    """Run all steps. Return what to show, as pairs of a name and a figure."""
    node, shown = Node(product), []
    with submits.going_on():
        seconds = [
            node.reload({"workers": str(2 + number % 2), "batch_limit": str(100 + number)}) for number in range(reloads)
        ]
        shown.append((f"{reloads} reloads, seconds each", f"{min(seconds):.1f} to {max(seconds):.1f}"))
        node.reload({"workers": "2"})
        node.wait_workers(2, "two workers after the reload")
        for number, workers in ((signal.SIGTTIN, 3), (signal.SIGTTIN, 4), (signal.SIGTTOU, 3), (signal.SIGTTOU, 2)):
            node.send(number, workers)
        shown.append(("TTIN, TTIN, TTOU, TTOU", "2 to 4 workers and back"))
        shown.append(("rolling restart of the API, seconds", f"{_timed(lambda: _restart_api(product)):.1f}"))
        node.reload({"min": "1", "max": "4"})
    shown += _autoscale(product, node, submits, quiet_seconds)
    return shown


def _autoscale(product: Product, node: Node, submits: Submits, quiet_seconds: float) -> list[tuple[str, str]]:
    node.wait_workers(1, "the pool has shrunk to its minimum", quiet_seconds + _STEP_SECONDS)
    burst = post("/submit", [{"task_type": "echo", "payload": {"sleep_seconds": 1}}] * 100, product.key)
    with Client(product.port) as client:
        client.send(burst)
    submits.accepted += 100
    up = _timed(lambda: node.wait_workers(4, "the pool has grown to its maximum"))
    return [("a burst: seconds from 1 to 4 workers", f"{up:.1f}")]


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
    with Rig() as rig, running(rig) as product:
        product.start_workers(2)
        product.wait_workers(2)
        submits = Submits(product, options.rate)
        shown = operate(product, submits, options.reloads, options.quiet_seconds)
        product.wait_drained()
        counted = {name: int(product.value(query)) for name, query in _CHECKS.items()}
        counted["submits refused"] = submits.refused
        counted["accepted tasks that are not stored"] = submits.accepted - int(
            product.value("SELECT count(*) FROM tasks")
        )
    for name, figure in [*shown, ("tasks accepted", f"{submits.accepted:,}"), *counted.items()]:
        print(f"{name:45} {figure}")
    return 1 if any(counted.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
