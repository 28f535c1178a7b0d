"""Measure the memory of all processes, and the processor time of a start; beside Celery and Dramatiq if installed.

    python bench/memory.py [--processes 3] [--workers 4] [--streams 5000] [--tasks 20000] [--rounds 3] [--json]

The figures of API and workers are pages of one process alone, at the median of all but the largest one.
"""

import argparse
import functools
import importlib.util
import json
import os
import resource
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cpu import Meter
from http_load import Client, Clients, post, times, tiny
from pages import KINDS, Pages, pages_of
from product import Product, running
from report import machine, print_columns
from rig import Rig, say, wait_until

from dtqs.sandbox.child import Program, SandboxProcess
from dtqs.sandbox.processes import family

_MIB = 1 << 20
_SETTLE_SECONDS = 3.0
_GIVEN_BACK_SECONDS = 20.0
_ARRAY = 1000
_READY_SECONDS = 60.0
_PEERS = {
    "Celery": ["-m", "celery", "-A", "peer_celery", "worker", "--concurrency", "{workers}", "--loglevel", "warning"],
    "Dramatiq": ["-m", "dramatiq", "peer_dramatiq", "--processes", "{workers}", "--threads", "1"],
}
Row = list[str]


def rows_of(when: str, groups: dict[str, list[int]]) -> list[Row]:
    """Return a line for each group of processes."""
    return [_row(name, when, [pages_of(pid) for pid in pids]) for name, pids in groups.items() if pids]


def _row(name: str, when: str, found: Sequence[Pages]) -> Row:
    ordered = sorted(found, key=lambda pages: pages.own_bytes)
    # the first process of a kind is often larger
    counted = ordered[:-1] or ordered
    own = statistics.median(pages.own_bytes for pages in counted)
    shared = statistics.median(pages.shared for pages in counted)
    kinds = [statistics.median(pages.own[kind] for pages in counted) for kind in KINDS]
    return [name, when, str(len(found)), *(f"{value / _MIB:.1f}" for value in (own, shared, *kinds))]


def groups_of(product: Product) -> dict[str, list[int]]:
    """Return the processes of the product by their role."""
    master, supervisor = product.server.pid, product.supervisor_pid
    children, processes = _children(supervisor), _children(master)
    return {
        "API master": [master],
        "API process": processes,
        "examiner of the API": [pid for process in processes for pid in _children(process)],
        "supervisor": [supervisor],
        "keeper": [pid for pid in children if "keeper" in _title(pid)],
        "worker": [pid for pid in children if "worker" in _title(pid)],
    }


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def _title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")


def of_product(rig: Rig, options: argparse.Namespace) -> list[Row]:
    """Measure an idle system, after tasks, with open streams, and after they have closed."""
    most = str(options.streams + 100)
    api = {"workers": str(options.processes), "max_streams": most, "max_connections": most}
    with running(rig, api=api) as product:
        product.start_workers(options.workers)
        product.wait_workers(options.workers)
        time.sleep(_SETTLE_SECONDS)
        say("  idle")
        rows = rows_of("idle", groups_of(product))
        with Clients(product.port, 16) as clients:
            clients.run(times(post("/submit", tiny(), product.key), options.tasks // 2))
            clients.run(times(post("/submit", tiny(500), product.key), options.tasks // 1000))
        product.wait_drained()
        say("  after tasks")
        rows += rows_of("after tasks", groups_of(product))
        with opened_streams(product, options.streams):
            say("  with streams")
            rows += rows_of(f"{options.streams} streams", {"API process": groups_of(product)["API process"]})
        time.sleep(_GIVEN_BACK_SECONDS)
        rows += rows_of("streams closed", {"API process": groups_of(product)["API process"]})
    return rows


@contextmanager
def opened_streams(product: Product, count: int) -> Iterator[None]:
    """Open streams, each of a task that is due tomorrow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 1000)), hard))
    with ExitStack() as stack:
        with Client(product.port) as client:
            for _ in range(-(-count // _ARRAY)):
                body = client.send(post("/submit", tiny(min(count, _ARRAY), delay_seconds=86400), product.key))
                for task in json.loads(body.partition(b"\r\n\r\n")[2] or body):
                    stack.enter_context(_stream(product, task["task_id"]))
        yield


def _stream(product: Product, task_id: str) -> socket.socket:
    """Open a stream and read its first event."""
    stream = socket.create_connection(("127.0.0.1", product.port), timeout=_READY_SECONDS)
    head = f"GET /sse?task_id={task_id} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {product.key}\r\n\r\n"
    stream.sendall(head.encode())
    while b"retry:" not in (piece := stream.recv(65536)):
        if not piece or b"HTTP/1.1 200" not in piece[:12] + b"HTTP/1.1 200":
            raise ConnectionError(f"no stream: {piece[:200]!r}")
    return stream


def of_peers(rig: Rig, workers: int) -> list[Row]:
    """Measure the idle workers of other task queues, where they are installed."""
    rows = []
    for name, words in _PEERS.items():
        if importlib.util.find_spec(name.lower()) is None:
            say(f"  {name} is not installed")
            continue
        command = [sys.executable, *(word.format(workers=workers) for word in words)]
        environment = {
            "BENCH_AMQP": rig.rabbitmq.url,
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]).rstrip(
                os.pathsep
            ),
        }
        child = SandboxProcess(name, rig.folder / f"{name}.pid", rig.folder / f"{name}.log", death_signal="KILL")
        program = Program(child, command, environment)
        try:
            program.start()
            wait_until(f"{name} works", functools.partial(_has, child.pid, workers), _READY_SECONDS)
            time.sleep(_SETTLE_SECONDS)
            say(f"  {name}")
            rows += rows_of(
                "idle", {f"{name} worker": [pid for pid in family(child.pid) if pid != child.pid][:workers]}
            )
        finally:
            program.stop()
    return rows


def _has(pid: int, children: int) -> bool:
    return len(family(pid)) > children


def of_starts(rig: Rig, options: argparse.Namespace) -> dict[str, float]:
    """Return the processor seconds until the API answers, and until the workers are ready, at the median."""
    seconds: dict[str, list[float]] = {"dtqs api": [], "dtqs supervisor": []}
    for number in range(options.rounds):
        with running(rig, api={"workers": str(options.processes)}) as product:
            seconds["dtqs api"].append(Meter({"": product.server.pid}).spent())
            product.start_workers(options.workers)
            product.wait_workers(options.workers)
            seconds["dtqs supervisor"].append(Meter({"": product.supervisor_pid}).spent())
        say(f"  start {number + 1}")
    return {name: statistics.median(found) for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=3, help="processes of the API")
    parser.add_argument("--workers", type=int, default=4, help="workers, also of Celery and Dramatiq")
    parser.add_argument("--streams", type=int, default=5000, help="streams that are open at once")
    parser.add_argument("--tasks", type=int, default=20_000, help="tasks before the second reading")
    parser.add_argument("--rounds", type=int, default=3, help="starts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with Rig() as rig:
        starts = of_starts(rig, options)
        rows = of_product(rig, options) + of_peers(rig, options.workers)
    titles = ["process", "when", "number", "own", "shared", *KINDS]
    if options.json:
        print(
            json.dumps(
                {"machine": machine(), "starts": starts, "mib": [dict(zip(titles, row, strict=True)) for row in rows]}
            )
        )
        return
    print(f"\nMemory of a process in MiB: its own by kind, and shared ({machine()})\n")
    print_columns([titles, *rows])
    print("\nProcessor time of a start, in seconds\n")
    print_columns([[name, f"{value:.2f}"] for name, value in starts.items()])


if __name__ == "__main__":
    main()
